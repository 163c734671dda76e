/* What the document reader and its number arrays share: putting an error where a value began. */
#ifndef TERN_WIRE_DOCUMENT_INT_H
#define TERN_WIRE_DOCUMENT_INT_H

#include "wire/document.h"

/* The first byte of the next value. */
TERN_INLINE const char *tern_document_mark(struct tern_document *doc)
{
    (void)tern_document_peek(doc); /* in JSON it passes white space */
    return doc->is_binary ? doc->ubjson.p : doc->json.p;
}

/* Before an error that is about the value that began there. */
TERN_INLINE void tern_document_rewind(struct tern_document *doc, const char *start)
{
    if (doc->is_binary)
        doc->ubjson.p = start;
    else
        doc->json.p = start;
}

#endif
