// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness/mem_fails.h"
#include "wire/xml.h"

/* The events as one text: "+name(key=value)" or "-name", each after the text before it. */
static enum tern_code tell(struct tern_str xml, char *out, size_t cap, struct tern_err *err)
{
    struct tern_xml *reader;
    struct tern_xml_event event = {.kind = TERN_XML_BEGIN};
    size_t n = 0;
    enum tern_code code = tern_xml_open(xml, &reader, err);

    out[0] = '\0';
    if (code != TERN_OK)
        return code;
    while ((code = tern_xml_next(reader, &event, err)) == TERN_OK &&
           event.kind != TERN_XML_FINISH) {
        n += (size_t)snprintf(out + n, cap - n, "%.*s%c%.*s", TERN_STR_ARG(event.text),
                              event.kind == TERN_XML_BEGIN ? '+' : '-', TERN_STR_ARG(event.name));
        for (uint32_t i = 0; event.kind == TERN_XML_BEGIN && i < event.n_attributes; i++)
            n += (size_t)snprintf(out + n, cap - n, "(%.*s=%.*s)",
                                  TERN_STR_ARG(event.attributes[i].name),
                                  TERN_STR_ARG(event.attributes[i].value));
    }
    tern_xml_close(reader);
    return code;
}

static void events(void **state)
{
    static const struct {
        const char *xml, *expected;
    } rows[] = {
        {"<a/>", "+a-a"},
        {"<?xml version='1.0' encoding='UTF-8'?><!-- no --><a><?no this?> x <b k='1' "
         "l=\"&lt;&#65;\"/>"
         "y&amp;<![CDATA[<z>]]></a>\n",
         "+a x +b(k=1)(l=<A)-by&<z>-a"},
        {"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>", "+a\xc3\xa9-a"},
        {"<p:a xmlns:p='u' p:k='v'><p:b/></p:a>", "+a(p=u)(k=v)+b-b-a"},
    };
    char out[256];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tern_err err;
        if (tell(tern_str_of(rows[i].xml), out, sizeof(out), &err) != TERN_OK)
            fail_msg("%s: %s", rows[i].xml, err.text);
        assert_string_equal(out, rows[i].expected);
    }
}

static void refusals(void **state)
{
    static const struct {
        const char *xml, *error;
    } rows[] = {
        {"", "line 1: no XML: no element found"},
        {"{}", "line 1: no XML: not well-formed"},
        {"<a>\n<b></a>", "line 2: no XML: mismatched tag"},
        {"<a>", "line 1: no XML: no element found"},
        {"<a/><b/>", "line 1: no XML: junk after document element"},
        {"<a k='1' k='2'/>", "line 1: no XML: duplicate attribute"},
        {"<a>&b;</a>", "line 1: no XML: undefined entity"},
        {"<!DOCTYPE a [<!ENTITY b 'c'>]>\n<a>&b;</a>",
         "line 1: a document type declaration (<!DOCTYPE "},
        {"<!DOCTYPE a SYSTEM 'file:///etc/hostname'><a/>", "<!DOCTYPE a>) is not read: remove it"},
        {"<?xml version='1.0' encoding='EBCDIC'?><a/>", "line 1: no XML: unknown encoding"},
        {"<a>\xff</a>", "line 1: no XML: not well-formed"},
    };
    char out[256];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tern_err err;
        assert_int_equal(tell(tern_str_of(rows[i].xml), out, sizeof(out), &err),
                         TERN_INVALID_ARGUMENT);
        if (strstr(err.text, rows[i].error) == NULL)
            fail_msg("%s: got '%s', expected '%s'", rows[i].xml, err.text, rows[i].error);
    }
}

static char *repeat(const char *what, size_t n, const char *tail)
{
    size_t width = strlen(what);
    char *text = malloc(n * width + strlen(tail) + 1);

    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * width, what, width);
    memcpy(text + n * width, tail, strlen(tail) + 1);
    return text;
}

static void limits(void **state)
{
    struct tern_xml *reader;
    struct tern_xml_event event = {.n_attributes = 0};
    struct tern_err err;
    enum tern_code code = TERN_OK;

    (void)state;
    char *deep = repeat("<a>", TERN_XML_DEPTH_MAX + 1, "");
    assert_int_equal(tern_xml_open(tern_str_of(deep), &reader, &err), TERN_OK);
    while (code == TERN_OK)
        code = tern_xml_next(reader, &event, &err);
    assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "line 1: elements are nested deeper than 5000"));
    tern_xml_close(reader);
    free(deep);

    char wide[8192] = "<a";
    for (size_t i = 0, n = 2; i <= TERN_XML_ATTRIBUTES_MAX; i++)
        n += (size_t)snprintf(wide + n, sizeof(wide) - n, " k%zu='1'", i);
    strcat(wide, "/>");
    assert_int_equal(tern_xml_open(tern_str_of(wide), &reader, &err), TERN_OK);
    assert_int_equal(tern_xml_next(reader, &event, &err), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "more than 256 attributes"));
    tern_xml_close(reader);
}

/* Texts and elements that lie across many pieces. */
static void long_text(void **state)
{
    struct tern_xml *reader;
    struct tern_xml_event event;
    char *body = repeat("0123456789", 10000, "");
    char *xml = malloc(250000);

    (void)state;
    assert_non_null(xml);
    int n = snprintf(xml, 250000, "<a k='%s'>%s<b><c>x</c></b></a>", body, body);
    assert_int_equal(tern_xml_open(tern_str_make(xml, (size_t)n), &reader, NULL), TERN_OK);
    assert_int_equal(tern_xml_next(reader, &event, NULL), TERN_OK);
    assert_true(tern_str_eq(tern_xml_attribute(&event, "k"), tern_str_of(body)));
    assert_null(tern_xml_attribute(&event, "l").p);
    assert_int_equal(tern_xml_next(reader, &event, NULL), TERN_OK);
    assert_true(tern_str_eq(event.text, tern_str_of(body)));
    assert_int_equal(tern_xml_skip(reader, NULL), TERN_OK);
    assert_int_equal(tern_xml_next(reader, &event, NULL), TERN_OK);
    assert_int_equal(event.kind, TERN_XML_END);
    assert_true(tern_str_eq(event.name, TERN_STR("a")));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tern_xml_next(reader, &event, NULL), TERN_OK);
        assert_int_equal(event.kind, TERN_XML_FINISH);
    }
    tern_xml_close(reader);
    tern_xml_close(NULL);
    free(xml);
    free(body);
}

static void without_memory(void **state)
{
    enum tern_code code = TERN_RESOURCE_EXHAUSTED;
    char out[256];

    (void)state;
    for (long at = 0; code != TERN_OK; at++) {
        struct tern_err err;
        mem_calls = 0;
        mem_fail_at = at;
        code = tell(TERN_STR("<a k='1' l='2'>text<b/>text</a>"), out, sizeof(out), &err);
        mem_fail_at = -1;
        if (code != TERN_OK && code != TERN_RESOURCE_EXHAUSTED)
            fail_msg("call %ld: %s", at, err.text);
        assert_true(at < 1000);
    }
    assert_string_equal(out, "+a(k=1)(l=2)text+b-btext-a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),    cmocka_unit_test(refusals),       cmocka_unit_test(limits),
        cmocka_unit_test(long_text), cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
