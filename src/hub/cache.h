/* hub/cache.h - model references and where they lie (models.md 9, merging.md 1.4).
 *
 * A reference is a local folder, or owner/name[@revision] in the local Hub cache, optionally
 * "+lora". Nothing is downloaded here.  Thread-safety: functions are independent. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

typedef struct mg_model_ref {
    mg_str path;                     /* folder or owner/name, as written */
    mg_str revision;                 /* empty = main */
    mg_str lora_path, lora_revision; /* empty = none */
    mg_str override_architecture;    /* empty = none */
} mg_model_ref;

/* "PATH[@REV][+LORA[@REV]]".  The strings live in arena.  MG_ERR_CONFIG. */
MG_MUST_CHECK mg_status mg_model_ref_parse(mg_str text, mg_arena *arena, mg_model_ref *ref_out,
                                           mg_error *err);
/* The printed form. */
mg_str mg_model_ref_text(const mg_model_ref *ref, mg_arena *arena);
bool mg_model_ref_equal(const mg_model_ref *a, const mg_model_ref *b);

/* The Hub cache folder: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, ... from the environment
 * given as a function, since only cli reads the environment. */
typedef const char *mg_getenv(const char *name);
typedef struct mg_hub {
    mg_str cache_folder; /* .../hub; empty = no cache */
} mg_hub;
mg_hub mg_hub_from_environment(mg_getenv *get, mg_arena *arena);

/* The folder that holds path@revision.  MG_ERR_NOT_FOUND says where was looked, and how to get it.
 */
MG_MUST_CHECK mg_status mg_hub_locate(const mg_hub *hub, mg_str path, mg_str revision,
                                      mg_arena *arena, mg_str *folder_out, mg_error *err);

MG_END_C
