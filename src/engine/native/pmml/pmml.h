/* PMML (https://dmg.org/pmml/v4-4-1/GeneralStructure.html), versions 4.0 to 4.4: trees, ensembles
 * of trees and regressions, with the fields and transformations that exporters write around them.
 *
 * Loaders: pmml.c reads the document, pmml_fields.c what goes in, pmml_formula.c what is computed
 * of it (with pmml_table.c and pmml_predicate.c), pmml_tree.c and pmml_emit.c trees,
 * pmml_regression.c regressions, pmml_models.c how models are put together, and pmml_program.c
 * makes the program. Operators of its own: pmml_ops.h. */
#ifndef TERN_ENGINE_NATIVE_PMML_H
#define TERN_ENGINE_NATIVE_PMML_H

#include "engine/native/format.h"

extern const struct tern_native_format tern_pmml;

#endif
