/* merge/method_internal.h - the methods, one to a file (or a family), for the table in method.c. */
#pragma once

#include "merge/method.h"

MG_BEGIN_C

extern const mg_method mg_method_linear;
extern const mg_method mg_method_slerp;
extern const mg_method mg_method_nuslerp;
extern const mg_method mg_method_multislerp;
extern const mg_method mg_method_karcher;
extern const mg_method mg_method_task_arithmetic;
extern const mg_method mg_method_ties;
extern const mg_method mg_method_dare_ties;
extern const mg_method mg_method_dare_linear;
extern const mg_method mg_method_breadcrumbs;
extern const mg_method mg_method_breadcrumbs_ties;
extern const mg_method mg_method_della;
extern const mg_method mg_method_della_linear;
extern const mg_method mg_method_sce;
extern const mg_method mg_method_model_stock;
extern const mg_method mg_method_nearswap;
extern const mg_method mg_method_arcee_fusion;
extern const mg_method mg_method_ram;
extern const mg_method mg_method_ramplus_tl;
extern const mg_method mg_method_passthrough;

/* What a method of task arithmetic cannot do with an input's parameters: the name of the one that
 * is to change, with a text for people, or NULL (for other methods too). */
const char *mg_method_task_mistake(const mg_method *method, const double *params, mg_mask_kind mask,
                                   char *text, size_t text_bytes);

MG_END_C
