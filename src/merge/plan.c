/* merge/plan.c - a recipe becomes a list of tensor jobs (merging.md 2).
 *
 * Models are opened, their architecture decides which tensors exist; each output tensor gets its
 * inputs, by position in the layer templates, and its parameters, by the order of precedence of
 * merging.md 1.8.  Mistakes are collected, each told once, not once for every tensor.
 *
 *   create -> open_models -> choose_layout -> plan_modules -> plan_slice -> plan_weight -> sort */
#include "merge/plan.h"

#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "merge/chat_template.h"
#include "merge/method_internal.h"
#include "merge/plan_internal.h"

#define LAYERS_MAX 10000 /* of the result, in one module */

typedef struct planner {
    const mg_recipe *recipe;
    mg_model_set *set;
    mg_plan *plan;
    mg_diagnostics diagnostics;
    mg_map told;           /* mistakes already told, by a key */
    mg_map planned;        /* output tensors, by name */
    mg_status open_status; /* why the first model that could not be opened could not */
    int64_t open_failures;
    bool allow_crimes;
} planner;

/* One slice as plan_weight sees it. */
typedef struct slice_source {
    const mg_recipe_source *source; /* NULL for a base that was added */
    const mg_model_ref *ref;
    int64_t model;
    int64_t first_layer;
    int64_t layer_count; /* of the model, in this module */
} slice_source;

typedef struct slice_plan {
    const mg_recipe_module *module_def;
    const mg_recipe_slice *slice_def;
    const mg_layout_module *module;
    slice_source *sources;
    int64_t source_count;
    const mg_model_ref *base; /* NULL = none */
    int64_t length;           /* layers */
} slice_plan;

/* A weight of the output and where it stands. */
typedef struct weight_place {
    const mg_layout_weight *weight;
    int64_t position;    /* among the layer's templates; -1 = not in a layer */
    int64_t layer;       /* of the output */
    int64_t layer_count; /* of the output */
    int64_t offset;      /* in the slice */
    double t;
} weight_place;

static bool first_time(planner *p, mg_str key)
{
    return mg_map_set(&p->told, mg_arena_copy(&p->plan->arena, key), 1);
}

static mg_str ref_text(planner *p, const mg_model_ref *ref)
{
    return mg_model_ref_text(ref, &p->plan->arena);
}

/* --- Models and architecture ------------------------------------------------------------------ */

/* The index of ref among the plan's models, which grows by it if it is new. */
static int64_t model_index(planner *p, const mg_model_ref *ref, const mg_value *where)
{
    mg_plan *plan = p->plan;
    for (int64_t i = 0; i < plan->model_count; i++) {
        if (mg_model_ref_equal(&plan->refs[i], ref)) {
            return i;
        }
    }
    mg_error err;
    mg_error_clear(&err);
    mg_snapshot *snapshot;
    mg_status status = mg_model_set_get(p->set, ref, &snapshot, &err);
    if (status != MG_OK) {
        p->open_status = p->open_failures == 0 ? status : p->open_status;
        p->open_failures++;
        mg_diagnose(&p->diagnostics, where, "%s", err.message);
        p->plan->models[plan->model_count] = NULL;
    } else {
        p->plan->models[plan->model_count] = snapshot;
    }
    plan->refs[plan->model_count] = *ref;
    return plan->model_count++;
}

static void open_models(planner *p)
{
    const mg_recipe *recipe = p->recipe;
    int64_t cap = 1;
    for (int64_t m = 0; m < recipe->module_count; m++) {
        for (int64_t s = 0; s < recipe->modules[m].slice_count; s++) {
            cap += recipe->modules[m].slices[s].source_count + 1;
        }
    }
    p->plan->refs = mg_arena_array(&p->plan->arena, mg_model_ref, cap);
    p->plan->models = mg_arena_array(&p->plan->arena, mg_snapshot *, cap);
    if (recipe->has_base) {
        (void)model_index(p, &recipe->base, recipe->base_where);
    }
    for (int64_t m = 0; m < recipe->module_count; m++) {
        for (int64_t s = 0; s < recipe->modules[m].slice_count; s++) {
            const mg_recipe_slice *slice = &recipe->modules[m].slices[s];
            for (int64_t i = 0; i < slice->source_count; i++) {
                (void)model_index(p, &slice->sources[i].model, slice->sources[i].where);
            }
        }
    }
}

/* A class that no definition is for, though one is for its model_type, may be a slip. */
static void tell_unknown_class(const planner *p, int64_t model, mg_str architecture)
{
    mg_str type = p->plan->models[model]->config.model_type;
    mg_str usual = mg_layouts_class_of_type(mg_model_set_layouts(p->set), type);
    if (usual.size > 0 && mg_model_set_first_time(p->set, "an unknown class")) {
        mg_note("%.*s: no definition is for class '%.*s' (for its model_type '%.*s' the class is "
                "'%.*s'): layers are inferred from names",
                MG_STR_ARG(p->plan->refs[model].path), MG_STR_ARG(architecture), MG_STR_ARG(type),
                MG_STR_ARG(usual));
    }
}

/* mergekit takes a model of one class only; a reference may say which. */
static mg_status check_one_class(const planner *p, int64_t model, mg_error *err)
{
    const mg_value *classes = mg_value_get(&p->plan->models[model]->config.root, "architectures");
    bool several = classes != NULL && classes->kind == MG_LIST && classes->count > 1;
    if (several && p->plan->refs[model].override_architecture.size == 0) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "%.*s: its 'architectures' lists %lld classes, must be one (a reference "
                       "{model: PATH, override_architecture: CLASS} says which)",
                       MG_STR_ARG(p->plan->refs[model].path), (long long)classes->count);
    }
    return MG_OK;
}

static mg_status choose_layout(planner *p, mg_error *err)
{
    mg_plan *plan = p->plan;
    mg_layouts *layouts = mg_model_set_layouts(p->set);
    const mg_layout *first = NULL;
    bool unknown = false;
    for (int64_t i = 0; i < plan->model_count; i++) {
        const mg_model_config *config = &plan->models[i]->config;
        MG_TRY(check_one_class(p, i, err));
        mg_str architecture = plan->refs[i].override_architecture.size > 0
                                  ? plan->refs[i].override_architecture
                                  : config->architecture;
        const mg_layout *layout;
        MG_TRY(mg_layouts_find(layouts, architecture, config->model_type, &config->root, &layout,
                               err));
        if (layout == NULL && !unknown) {
            unknown = true;
            tell_unknown_class(p, i, architecture);
        }
        if (layout == NULL || first == NULL) {
            first = layout != NULL ? layout : first;
            continue;
        }
        if (!p->allow_crimes && !mg_layout_equal(first, layout)) {
            return mg_fail(err, MG_ERR_CONFIG,
                           "%.*s is a %.*s, the models before it are not: models of different "
                           "architectures merge only with --allow-crimes",
                           MG_STR_ARG(ref_text(p, &plan->refs[i])), MG_STR_ARG(architecture));
        }
    }
    plan->layout = first;
    if (unknown) {
        MG_TRY(mg_layouts_infer(layouts, (const mg_snapshot *const *)(void *)plan->models,
                                plan->model_count, &plan->layout, err));
    }
    return MG_OK;
}

/* --- Parameters ------------------------------------------------------------------------------- */

/* The curve that applies at one level, or NULL; *where_out is then its place. */
static const mg_curve *curve_at_level(const mg_settings *settings, mg_str param, mg_str tensor,
                                      const mg_value **where_out)
{
    const mg_setting *setting = mg_settings_find(settings, param);
    const mg_curve *curve = setting != NULL ? mg_setting_match(setting, tensor) : NULL;
    *where_out = curve != NULL ? setting->where : NULL;
    return curve;
}

static const mg_curve *find_curve(const planner *p, const slice_plan *slice,
                                  const slice_source *source, mg_str param, mg_str tensor,
                                  const mg_value **where_out)
{
    const mg_settings *levels[4];
    int count = 0;
    if (source != NULL && source->source != NULL) {
        levels[count++] = &source->source->settings;
    }
    levels[count++] = &slice->slice_def->settings;
    levels[count++] = &slice->module_def->settings;
    levels[count++] = &p->recipe->settings;
    const mg_curve *curve = NULL;
    for (int i = 0; i < count && curve == NULL; i++) {
        curve = curve_at_level(levels[i], param, tensor, where_out);
    }
    return curve;
}

static void tell_missing(planner *p, const slice_plan *slice, const slice_source *source,
                         const char *param, mg_str tensor)
{
    mg_str model = source != NULL ? ref_text(p, source->ref) : mg_str_of("");
    mg_str key = mg_arena_printf(&p->plan->arena, "%s/%.*s", param, MG_STR_ARG(model));
    if (!first_time(p, key)) {
        return;
    }
    const mg_value *where =
        source != NULL && source->source != NULL ? source->source->where : slice->slice_def->where;
    if (source != NULL) {
        mg_diagnose(&p->diagnostics, where,
                    "parameter '%s' of model '%.*s' is missing (tensor %.*s)", param,
                    MG_STR_ARG(model), MG_STR_ARG(tensor));
    } else {
        mg_diagnose(&p->diagnostics, where, "parameter '%s' is missing (tensor %.*s)", param,
                    MG_STR_ARG(tensor));
    }
}

static double param_value(planner *p, const slice_plan *slice, const slice_source *source,
                          const mg_method_param *param, mg_str tensor, double t)
{
    const mg_value *where;
    const mg_curve *curve = find_curve(p, slice, source, mg_str_of(param->name), tensor, &where);
    if (curve == NULL || curve->count == 0) {
        if (param->required) {
            tell_missing(p, slice, source, param->name, tensor);
        }
        return param->fallback;
    }
    double value = mg_curve_at(curve, t);
    if (param->type == MG_PARAM_BOOL) {
        value = curve->values[(int64_t)(t * (double)(curve->count - 1))]; /* selects, as mergekit */
    }
    bool fits = param->type == MG_PARAM_FLOAT ||
                (param->type == MG_PARAM_BOOL ? value == 0.0 || value == 1.0
                                              : value == trunc(value) && fabs(value) < 1e9);
    if (!fits && first_time(p, mg_arena_printf(&p->plan->arena, "type/%s", param->name))) {
        mg_diagnose(&p->diagnostics, where != NULL ? where : slice->slice_def->where,
                    "parameter '%s' is %.12g, must be %s", param->name, value,
                    param->type == MG_PARAM_BOOL ? "true or false"
                                                 : "a whole number below 1000000000");
    }
    return value;
}

/* What the method cannot do with the parameters of an input, told once for each model. */
static void check_params(planner *p, const slice_plan *slice, const slice_source *source,
                         const mg_plan_input *input)
{
    char wrong[160];
    const char *param =
        mg_method_task_mistake(p->plan->method, input->params, p->plan->mask, wrong, sizeof(wrong));
    if (param == NULL) {
        return;
    }
    mg_str model = ref_text(p, source->ref);
    if (!first_time(p, mg_arena_printf(&p->plan->arena, "range/%.*s", MG_STR_ARG(model)))) {
        return;
    }
    const mg_value *where;
    (void)find_curve(p, slice, source, mg_str_of(param), input->name, &where);
    if (where == NULL) {
        where = source->source != NULL ? source->source->where : slice->slice_def->where;
    }
    mg_diagnose(&p->diagnostics, where, "%s (model '%.*s', tensor %.*s)", wrong, MG_STR_ARG(model),
                MG_STR_ARG(input->name));
}

/* Warns of parameters that the method does not have. */
static void warn_settings(planner *p, const mg_settings *settings)
{
    const mg_method *method = p->plan->method;
    for (int64_t i = 0; i < settings->count; i++) {
        const mg_setting *setting = &settings->items[i];
        const char *names[MG_METHOD_PARAMS_MAX];
        bool known = setting->where == NULL; /* built by the search: it knows what it does */
        for (int64_t k = 0; k < method->param_count; k++) {
            names[k] = method->params[k].name;
            known = known || mg_str_is(setting->name, names[k]);
        }
        if (!known) {
            const char *nearest = mg_str_nearest(setting->name, names, method->param_count);
            mg_diagnose_warn(&p->diagnostics, setting->where,
                             "'%s' has no parameter '%.*s', it is ignored%s%s%s", method->name,
                             MG_STR_ARG(setting->name), nearest != NULL ? " (did you mean '" : "",
                             nearest != NULL ? nearest : "", nearest != NULL ? "'?)" : "");
        }
    }
}

static void warn_all_settings(planner *p)
{
    const mg_recipe *recipe = p->recipe;
    warn_settings(p, &recipe->settings);
    for (int64_t m = 0; m < recipe->module_count; m++) {
        warn_settings(p, &recipe->modules[m].settings);
        for (int64_t s = 0; s < recipe->modules[m].slice_count; s++) {
            const mg_recipe_slice *slice = &recipe->modules[m].slices[s];
            warn_settings(p, &slice->settings);
            for (int64_t i = 0; i < slice->source_count; i++) {
                warn_settings(p, &slice->sources[i].settings);
            }
        }
    }
}

/* --- One output tensor ------------------------------------------------------------------------ */

static mg_dtype promote(mg_dtype a, mg_dtype b)
{
    if (a == b) {
        return a;
    }
    return a == MG_F64 || b == MG_F64 ? MG_F64 : MG_F32;
}

/* An embedding whose rows move: afterwards all models have as many. */
static void use_vocabulary(planner *p, const weight_place *place, mg_plan_job *job,
                           mg_plan_input *inputs)
{
    const mg_vocabulary *vocabulary = p->plan->vocabulary;
    if (vocabulary == NULL || !place->weight->embed || job->action == MG_PLAN_EQUAL) {
        return;
    }
    mg_vocabulary_input *rows =
        mg_arena_array(&p->plan->arena, mg_vocabulary_input, job->input_count);
    for (int64_t i = 0; i < job->input_count; i++) {
        rows[i].model = inputs[i].model;
        rows[i].rows = inputs[i].source.shape.dims[0];
    }
    mg_error err;
    mg_error_clear(&err);
    if (mg_vocabulary_check(vocabulary, rows, job->input_count, &err) != MG_OK) {
        mg_diagnose(&p->diagnostics, p->recipe->tokenizer, "%.*s: %s", MG_STR_ARG(job->name),
                    err.message);
        return;
    }
    job->rows = !vocabulary->identity;
    for (int64_t i = 0; i < job->input_count; i++) {
        job->rows = job->rows || inputs[i].source.shape.dims[0] != vocabulary->row_count;
    }
    for (int64_t i = 0; i < job->input_count && job->rows; i++) {
        inputs[i].stored_rows = inputs[i].source.shape.dims[0];
        inputs[i].source.shape.dims[0] = vocabulary->row_count;
    }
}

/* --unsafe-truncate-embeddings: rows beyond the smallest vocabulary are left out. */
static void truncate_rows(const planner *p, const weight_place *place, mg_plan_job *job,
                          mg_plan_input *inputs)
{
    if (!p->recipe->truncate_embeddings || p->plan->vocabulary != NULL || !place->weight->embed) {
        return;
    }
    int64_t rows = INT64_MAX;
    for (int64_t i = 0; i < job->input_count; i++) {
        if (inputs[i].source.shape.rank == 0) {
            return;
        }
        rows = MG_MIN(rows, inputs[i].source.shape.dims[0]);
    }
    for (int64_t i = 0; i < job->input_count; i++) {
        inputs[i].source.shape.dims[0] = rows;
    }
}

/* false, with a mistake told, when the inputs cannot make one tensor. */
static bool check_inputs(planner *p, mg_plan_job *job, const weight_place *place)
{
    const mg_plan_input *first = &job->inputs[0];
    bool floats = true;
    for (int64_t i = 0; i < job->input_count; i++) {
        const mg_plan_input *input = &job->inputs[i];
        floats = floats && mg_dtype_is_float(input->source.dtype);
        if (!mg_shape_equal(&input->source.shape, &first->source.shape)) {
            char text_a[128], text_b[128];
            mg_diagnose(&p->diagnostics, NULL,
                        "%.*s: shape is %s in %.*s and %s in %.*s, they must be equal%s",
                        MG_STR_ARG(job->name),
                        mg_shape_text(&first->source.shape, text_a, sizeof(text_a)),
                        MG_STR_ARG(ref_text(p, &p->plan->refs[first->model])),
                        mg_shape_text(&input->source.shape, text_b, sizeof(text_b)),
                        MG_STR_ARG(ref_text(p, &p->plan->refs[input->model])),
                        place->weight->embed ? " (a tokenizer block can align vocabularies)" : "");
            return false;
        }
        if (!floats && input->source.dtype != first->source.dtype) {
            mg_diagnose(&p->diagnostics, NULL, "%.*s: type is %s in %.*s and %s in %.*s",
                        MG_STR_ARG(job->name), mg_dtype_name(first->source.dtype),
                        MG_STR_ARG(ref_text(p, &p->plan->refs[first->model])),
                        mg_dtype_name(input->source.dtype),
                        MG_STR_ARG(ref_text(p, &p->plan->refs[input->model])));
            return false;
        }
    }
    if (!floats && first->source.part_count > 1) {
        mg_diagnose(&p->diagnostics, NULL, "%.*s: experts of %s cannot be joined",
                    MG_STR_ARG(job->name), mg_dtype_name(first->source.dtype));
        return false;
    }
    if (!floats) {
        job->action = MG_PLAN_EQUAL;
    }
    return true;
}

#define CONTRACT_BYTES 128

/* Whether the inputs that are there break the method's contract; *text then says how. */
static bool contract_broken(const mg_method *method, int64_t count, bool configured_base,
                            bool has_base, char text[CONTRACT_BYTES])
{
    if (method->base != MG_BASE_IGNORED && configured_base && !has_base) {
        (void)snprintf(text, CONTRACT_BYTES, "the base model is not among its inputs");
        return true;
    }
    if (method->base == MG_BASE_REQUIRED && !has_base) {
        (void)snprintf(text, CONTRACT_BYTES, "it needs a base model ('base_model')");
        return true;
    }
    int64_t bases = method->base != MG_BASE_IGNORED && has_base ? 1 : 0;
    int64_t least = MG_MAX(method->inputs_min, method->non_base_min + bases);
    int64_t most = method->non_base_max > 0 ? method->non_base_max + bases : INT64_MAX;
    most = method->inputs_max > 0 ? MG_MIN(method->inputs_max, most) : most;
    if (count >= least && count <= most) {
        return false;
    }
    bool few = count < least;
    (void)snprintf(text, CONTRACT_BYTES, "it has too %s inputs (%lld%s, at %s %lld)",
                   few ? "few" : "many", (long long)count, has_base ? " with the base model" : "",
                   few ? "least" : "most", (long long)(few ? least : most));
    return true;
}

/* What becomes of an optional tensor that some models lack; true when the job is decided. */
static bool decide_singleton(const planner *p, mg_plan_job *job)
{
    const mg_method *method = p->plan->method;
    bool single = job->input_count == 1;
    switch (method->singleton) {
    case MG_SINGLETON_MERGE:
        return false;
    case MG_SINGLETON_COPY:
        break;
    case MG_SINGLETON_COPY_BASE:
        single = single && job->base == 0;
        break;
    case MG_SINGLETON_BASE:
        if (job->input_count < method->inputs_min) {
            mg_warn("%.*s: too few models have it, copied from %s", MG_STR_ARG(job->name),
                    job->base >= 0 ? "the base" : "the first that does");
            if (job->input_count > 1) {
                job->inputs = &job->inputs[MG_MAX(job->base, 0)];
                job->input_count = 1;
            }
            job->base = job->base >= 0 ? 0 : -1;
            job->action = MG_PLAN_COPY;
            return true;
        }
        return false;
    }
    if (single) {
        job->action = MG_PLAN_COPY;
    }
    return single;
}

/* Sets what an adapter of the model does to the input; false, with a mistake told, where it cannot.
 */
static bool apply_adapter(planner *p, mg_plan_input *input)
{
    const mg_adapter *adapter = mg_model_set_adapter(p->set, &p->plan->refs[input->model]);
    for (int64_t i = 0; adapter != NULL && i < input->source.part_count; i++) {
        const mg_adapter_target *target = mg_adapter_find(adapter, input->source.parts[i]->name);
        if (target == NULL) {
            continue;
        }
        if (input->source.part_count > 1) {
            mg_diagnose(&p->diagnostics, NULL, "%.*s: adapters of experts cannot be merged",
                        MG_STR_ARG(input->source.parts[i]->name));
            return false;
        }
        const mg_view *instead = target->replacement;
        if (instead == NULL) {
            input->adapter = target;
            instead = target->base;
        }
        if (instead != NULL) {
            const mg_view **part = mg_arena_array(&p->plan->arena, const mg_view *, 1);
            part[0] = instead;
            input->source.parts = part;
            if (!mg_dtype_is_float(input->source.dtype)) {
                input->source.dtype = instead->dtype;
            }
            input->source.bytes = (size_t)mg_shape_count(&instead->shape) *
                                  (size_t)(mg_dtype_bits(input->source.dtype) / 8);
        }
        return true;
    }
    return true;
}

/* Finds the tensor in each source; false when it is not to be written. */
static bool find_inputs(planner *p, const slice_plan *slice, const weight_place *place,
                        mg_plan_job *job, mg_plan_input *inputs)
{
    mg_arena *arena = &p->plan->arena;
    bool stored = false;
    bool missing = false;
    int64_t others = 0;
    mg_plan_load *loads = mg_arena_array(arena, mg_plan_load, slice->source_count);
    job->base = -1;
    job->loads = loads;
    job->embedding = place->weight->embed;
    job->embeds = p->plan->vocabulary != NULL && place->weight->embed;
    for (int64_t i = 0; i < slice->source_count; i++) {
        const slice_source *source = &slice->sources[i];
        const mg_layout_weight *weight = place->weight;
        int64_t layer = place->layer;
        int64_t layer_count = place->layer_count;
        if (place->position >= 0) {
            int64_t count;
            layer = source->first_layer + place->offset;
            layer_count = source->layer_count;
            weight = mg_layout_layer_weights(slice->module, layer, &count);
            if (place->position >= count) {
                missing = true;
                continue;
            }
            weight += place->position;
        }
        bool is_base = slice->base != NULL && mg_model_ref_equal(slice->base, source->ref);
        mg_plan_input *input = &inputs[job->input_count];
        input->model = source->model;
        input->source_index = is_base ? -1 : others++;
        input->name = mg_layout_name(weight->name, layer, layer_count, arena);
        mg_error err;
        mg_error_clear(&err);
        if (mg_layout_find_source(p->plan->models[source->model]->checkpoint, weight, layer,
                                  layer_count, arena, &input->source, &err) != MG_OK) {
            mg_diagnose(&p->diagnostics, NULL, "%s", err.message);
            return false;
        }
        loads[job->load_count].model = input->model;
        loads[job->load_count].name = input->name;
        loads[job->load_count++].label = input->source.label;
        if (input->source.part_count == 0) {
            missing = true;
            if (!place->weight->optional) {
                mg_diagnose(&p->diagnostics, NULL, "%.*s: model '%.*s' lacks tensor %.*s",
                            MG_STR_ARG(job->name), MG_STR_ARG(ref_text(p, source->ref)),
                            MG_STR_ARG(input->name));
            }
            continue;
        }
        if (!apply_adapter(p, input)) {
            return false;
        }
        stored = stored || !input->source.tied;
        job->base = is_base ? job->input_count : job->base;
        job->label = job->input_count == 0 || mg_str_compare(input->source.label, job->label) > 0
                         ? input->source.label
                         : job->label;
        for (int64_t k = 0; k < p->plan->method->param_count; k++) {
            const mg_method_param *param = &p->plan->method->params[k];
            bool applies =
                param->scope == MG_PARAM_INPUT || (param->scope == MG_PARAM_NON_BASE && !is_base);
            input->params[k] =
                applies ? param_value(p, slice, source, param, input->name, place->t) : (double)NAN;
        }
        if (!is_base) {
            check_params(p, slice, source, input);
        }
        job->unties = job->unties || (source->model == 0 && input->source.tied);
        job->input_count++;
    }
    job->inputs = inputs;
    job->action = MG_PLAN_MERGE;
    if (missing && !place->weight->optional) {
        return false;
    }
    job->unties = job->unties && stored;
    if (!stored) {
        return false; /* in no model: an optional tensor that is not written */
    }
    if (missing && decide_singleton(p, job)) {
        return true;
    }
    char broken[CONTRACT_BYTES];
    if (contract_broken(p->plan->method, job->input_count, slice->base != NULL, job->base >= 0,
                        broken)) {
        mg_diagnose(&p->diagnostics, NULL, "%.*s: %s cannot merge it: %s", MG_STR_ARG(job->name),
                    p->plan->method->name, broken);
        return false;
    }
    return true;
}

/* What the method gives back when nothing casts it. */
static mg_dtype result_dtype(const mg_method *method, const mg_plan_job *job)
{
    bool half = job->work == MG_BF16 || job->work == MG_F16;
    bool merged = job->action == MG_PLAN_MERGE && job->input_count > 1;
    return method->wide_result && half && merged ? MG_F32 : job->work;
}

static void plan_weight(planner *p, const slice_plan *slice, const weight_place *place)
{
    mg_plan *plan = p->plan;
    mg_plan_job job;
    memset(&job, 0, sizeof(job));
    job.name = mg_layout_name(place->weight->name, place->layer, place->layer_count, &plan->arena);
    job.t = place->t;
    mg_plan_input *inputs = mg_arena_array(&plan->arena, mg_plan_input, slice->source_count);
    if (!find_inputs(p, slice, place, &job, inputs)) {
        return;
    }
    use_vocabulary(p, place, &job, inputs);
    truncate_rows(p, place, &job, inputs);
    if (!check_inputs(p, &job, place)) {
        return;
    }
    for (int64_t k = 0; k < plan->method->param_count; k++) {
        const mg_method_param *param = &plan->method->params[k];
        job.params[k] = param->scope == MG_PARAM_SHARED
                            ? param_value(p, slice, NULL, param, job.name, place->t)
                            : (double)NAN;
    }
    job.shape = job.inputs[0].source.shape;
    job.count = mg_shape_count(&job.shape);
    job.work = job.inputs[0].source.dtype;
    if (job.action == MG_PLAN_EQUAL) {
        job.out_dtype = job.work;
    } else {
        for (int64_t i = 1; i < job.input_count; i++) {
            job.work = promote(job.work, job.inputs[i].source.dtype);
        }
        mg_dtype forced = place->weight->force_dtype;
        forced = forced != MG_DTYPE_COUNT && mg_dtype_is_float(forced) ? forced : MG_DTYPE_COUNT;
        job.work = forced != MG_DTYPE_COUNT        ? forced
                   : plan->dtype != MG_DTYPE_COUNT ? plan->dtype
                                                   : job.work;
        job.out_dtype = forced != MG_DTYPE_COUNT            ? forced
                        : plan->out_dtype != MG_DTYPE_COUNT ? plan->out_dtype
                                                            : result_dtype(plan->method, &job);
    }
    if (!mg_dtype_bytes(job.out_dtype, job.count, &job.out_bytes)) {
        mg_diagnose(&p->diagnostics, NULL, "%.*s: is too large", MG_STR_ARG(job.name));
        return;
    }
    int64_t again = mg_map_get(&p->planned, job.name, -1);
    if (again >= 0) { /* templates without a layer number: the last layer's counts */
        plan->jobs[again] = job;
        return;
    }
    (void)mg_map_set(&p->planned, job.name, plan->job_count);
    if (plan->job_count == plan->job_cap) {
        plan->job_cap = MG_MAX(64, plan->job_cap * 2);
        mg_plan_job *more = mg_arena_array(&plan->arena, mg_plan_job, plan->job_cap);
        if (plan->job_count > 0) {
            memcpy(more, plan->jobs, (size_t)plan->job_count * sizeof(mg_plan_job));
        }
        plan->jobs = more;
    }
    plan->jobs[plan->job_count++] = job;
}

/* --- Slices and modules ----------------------------------------------------------------------- */

static int64_t layers_of(planner *p, const mg_layout_module *module, int64_t model)
{
    int64_t count = 0;
    mg_error err;
    mg_error_clear(&err);
    if (mg_layout_layer_count(module, &p->plan->models[model]->config.root, &count, &err) !=
        MG_OK) {
        mg_str name = ref_text(p, &p->plan->refs[model]);
        if (first_time(p, mg_arena_printf(&p->plan->arena, "layers/%.*s", MG_STR_ARG(name)))) {
            mg_diagnose(&p->diagnostics, NULL, "%.*s: %s", MG_STR_ARG(name), err.message);
        }
    }
    return count;
}

static void add_source(planner *p, slice_plan *slice, const mg_recipe_source *source,
                       const mg_model_ref *ref)
{
    slice_source *to = &slice->sources[slice->source_count++];
    to->source = source;
    to->ref = ref;
    to->model = model_index(p, ref, NULL);
    to->layer_count = layers_of(p, slice->module, to->model);
    int64_t length = to->layer_count;
    if (source != NULL && source->has_range) {
        to->first_layer = source->layer_begin;
        length = source->layer_end - source->layer_begin;
        if (source->layer_end > to->layer_count) {
            mg_diagnose(&p->diagnostics, source->where,
                        "'layer_range' ends at %lld, model '%.*s' has %lld layers",
                        (long long)source->layer_end, MG_STR_ARG(ref_text(p, ref)),
                        (long long)to->layer_count);
        }
    }
    if (slice->source_count > 1 && length != slice->length) {
        mg_diagnose(&p->diagnostics, source != NULL ? source->where : slice->slice_def->where,
                    "model '%.*s' gives %lld layers, '%.*s' gives %lld: they must be equal",
                    MG_STR_ARG(ref_text(p, ref)), (long long)length,
                    MG_STR_ARG(ref_text(p, slice->sources[0].ref)), (long long)slice->length);
        length = MG_MIN(length, slice->length);
    }
    slice->length = length;
}

static slice_plan make_slice(planner *p, const mg_recipe_module *module_def,
                             const mg_recipe_slice *slice_def, const mg_layout_module *module)
{
    slice_plan slice;
    memset(&slice, 0, sizeof(slice));
    slice.module_def = module_def;
    slice.slice_def = slice_def;
    slice.module = module;
    slice.base = slice_def->has_base   ? &slice_def->base
                 : p->recipe->has_base ? &p->recipe->base
                                       : NULL;
    slice.sources = mg_arena_array(&p->plan->arena, slice_source, slice_def->source_count + 1);
    bool has_base = false;
    for (int64_t i = 0; i < slice_def->source_count; i++) {
        const mg_recipe_source *source = &slice_def->sources[i];
        has_base =
            has_base || (slice.base != NULL && mg_model_ref_equal(slice.base, &source->model));
        add_source(p, &slice, source, &source->model);
    }
    if (!module_def->explicit_slices && slice.base != NULL && !has_base) {
        add_source(p, &slice, NULL, slice.base);
        has_base = true;
    }
    char broken[CONTRACT_BYTES];
    if (contract_broken(p->plan->method, slice.source_count, slice.base != NULL, has_base,
                        broken)) {
        mg_diagnose(&p->diagnostics, slice_def->where, "'%s' cannot merge this: %s",
                    p->plan->method->name, broken);
    }
    return slice;
}

static void plan_layers(planner *p, const slice_plan *slice, int64_t first, int64_t layer_count)
{
    for (int64_t k = 0; k < slice->length; k++) {
        int64_t count;
        const mg_layout_weight *weights = mg_layout_layer_weights(slice->module, first + k, &count);
        double t = slice->length > 1 ? (double)k / (double)(slice->length - 1) : 1.0;
        for (int64_t w = 0; w < count; w++) {
            weight_place place = { &weights[w], w, first + k, layer_count, k, t };
            plan_weight(p, slice, &place);
        }
    }
}

static void plan_module(planner *p, const mg_recipe_module *module_def,
                        const mg_layout_module *module, mg_plan_layers *layers)
{
    slice_plan *slices = mg_arena_array(&p->plan->arena, slice_plan, module_def->slice_count);
    int64_t mistakes = p->diagnostics.count;
    int64_t total = 0;
    for (int64_t s = 0; s < module_def->slice_count; s++) {
        slices[s] = make_slice(p, module_def, &module_def->slices[s], module);
        total += slices[s].length;
    }
    if (total > LAYERS_MAX) {
        mg_diagnose(&p->diagnostics, module_def->where,
                    "the slices have %lld layers, at most %d are merged", (long long)total,
                    LAYERS_MAX);
    }
    layers->module = module;
    layers->changed = module_def->explicit_slices;
    layers->count = total;
    layers->source_layer = mg_arena_array(&p->plan->arena, int64_t, MG_MAX(total, 1));
    if (p->diagnostics.count > mistakes) {
        return; /* its tensors would only repeat the same mistakes */
    }
    for (int64_t w = 0; w < module->pre_count; w++) {
        weight_place place = { &module->pre[w], -1, 0, total, 0, 0.0 };
        plan_weight(p, &slices[0], &place);
    }
    int64_t first = 0;
    for (int64_t s = 0; s < module_def->slice_count; s++) {
        plan_layers(p, &slices[s], first, total);
        for (int64_t k = 0; k < slices[s].length; k++) {
            layers->source_layer[first + k] = slices[s].sources[0].first_layer + k;
        }
        first += slices[s].length;
    }
    for (int64_t w = 0; w < module->post_count; w++) {
        weight_place place = { &module->post[w], -1, 0, total, 0, 0.0 };
        plan_weight(p, &slices[module_def->slice_count - 1], &place);
    }
}

static void plan_modules(planner *p)
{
    const mg_recipe *recipe = p->recipe;
    mg_plan *plan = p->plan;
    const mg_layout *layout = plan->layout;
    bool named = recipe->modules[0].name.size > 0;
    if (!named && recipe->modules[0].explicit_slices && layout->module_count != 1) {
        mg_diagnose(&p->diagnostics, recipe->modules[0].where,
                    "the architecture has %lld modules: 'slices' must be given under 'modules'",
                    (long long)layout->module_count);
        return;
    }
    int64_t count = named ? recipe->module_count : layout->module_count;
    plan->modules = mg_arena_array(&plan->arena, mg_plan_layers, count);
    for (int64_t m = 0; m < count; m++) {
        const mg_recipe_module *def = named ? &recipe->modules[m] : &recipe->modules[0];
        const mg_layout_module *module =
            named ? mg_layout_module_find(layout, def->name) : &layout->modules[m];
        if (module == NULL) {
            mg_diagnose(&p->diagnostics, def->where,
                        "the architecture has no module '%.*s', its first is '%.*s'",
                        MG_STR_ARG(def->name), MG_STR_ARG(layout->modules[0].name));
            continue;
        }
        plan_module(p, def, module, &plan->modules[plan->module_count++]);
    }
}

mg_status mg_plan_create(const mg_recipe *recipe, mg_model_set *set, bool allow_crimes,
                         mg_plan **plan_out, mg_error *err)
{
    *plan_out = NULL;
    mg_status status = MG_OK;
    mg_plan *plan = mg_new(mg_plan);
    planner p;
    memset(&p, 0, sizeof(p));
    p.recipe = recipe;
    p.set = set;
    p.plan = plan;
    p.allow_crimes = allow_crimes;
    p.diagnostics.file = recipe->file;
    plan->set = set;
    plan->dtype = recipe->dtype;
    plan->out_dtype = recipe->out_dtype;
    plan->mask = recipe->mask;
    plan->mask_seed = recipe->mask_seed;
    plan->rescale = recipe->rescale;
    plan->order = recipe->order;
    plan->has_chat_template = recipe->chat_template.size > 0;
    plan->wants_chat_template = mg_str_is(recipe->chat_template, "auto");
    plan->method = mg_method_find(recipe->method);
    if (plan->method == NULL) { /* reading a file has found this already */
        mg_diagnose(&p.diagnostics, recipe->method_where, "unknown merge method '%.*s'",
                    MG_STR_ARG(recipe->method));
    }
    if (recipe->chat_template.size > 0 && !mg_chat_template_valid(recipe->chat_template)) {
        mg_diagnose(
            &p.diagnostics, recipe->chat_template_where,
            "'chat_template' is '%.*s', must be auto, alpaca, chatml, exaone, llama3, mistral "
            "or a template",
            MG_STR_ARG(recipe->chat_template));
    }
    open_models(&p);
    status = mg_diagnostics_finish(&p.diagnostics, err);
    if (status != MG_OK) {
        /* The file is right, and what it names is missing or damaged. */
        status = p.diagnostics.count == p.open_failures ? p.open_status : status;
        goto done;
    }
    MG_TRY_OR_DONE(choose_layout(&p, err));
    warn_all_settings(&p);
    MG_TRY_OR_DONE(mg_plan_build_vocabulary(plan, recipe, set, &p.diagnostics, err));
    MG_TRY_OR_DONE(mg_diagnostics_finish(&p.diagnostics, err));
    plan_modules(&p);
    MG_TRY_OR_DONE(mg_diagnostics_finish(&p.diagnostics, err));
    if (plan->job_count == 0) {
        status = mg_fail(err, MG_ERR_CONFIG, "the merge has no tensors to write");
        goto done;
    }
    mg_plan_order(plan);
    *plan_out = plan;
    plan = NULL;

done:
    mg_map_release(&p.told);
    mg_map_release(&p.planned);
    mg_diagnostics_release(&p.diagnostics);
    mg_plan_destroy(plan);
    return status;
}

void mg_plan_destroy(mg_plan *plan)
{
    if (plan != NULL) {
        mg_arena_release(&plan->tokenizer_tree);
        mg_arena_release(&plan->arena);
        mg_free(plan);
    }
}

int64_t mg_plan_tensor_count(const mg_plan *plan)
{
    return plan->job_count;
}

mg_view mg_plan_tensor(const mg_plan *plan, int64_t index)
{
    MG_ASSERT(index >= 0 && index < plan->job_count);
    const mg_plan_job *job = &plan->jobs[index];
    mg_view view = { job->name, NULL, job->out_bytes, job->out_dtype, job->shape };
    return view;
}

size_t mg_plan_output_bytes(const mg_plan *plan)
{
    size_t bytes = 0;
    for (int64_t i = 0; i < plan->job_count; i++) {
        bytes += plan->jobs[i].out_bytes;
    }
    return bytes;
}

size_t mg_plan_input_bytes(const mg_plan *plan)
{
    size_t bytes = 0;
    for (int64_t i = 0; i < plan->job_count; i++) {
        for (int64_t k = 0; k < plan->jobs[i].input_count; k++) {
            bytes += plan->jobs[i].inputs[k].source.bytes;
        }
    }
    return bytes;
}

int64_t mg_plan_layer_count(const mg_plan *plan)
{
    int64_t count = 0;
    for (int64_t m = 0; m < plan->module_count; m++) {
        count += plan->modules[m].count;
    }
    return count;
}

int64_t mg_plan_model_count(const mg_plan *plan)
{
    return plan->model_count;
}

const char *mg_plan_model_folder(const mg_plan *plan, int64_t index)
{
    MG_ASSERT(index >= 0 && index < plan->model_count);
    return plan->models[index]->folder;
}

const mg_snapshot *mg_plan_donor(const mg_plan *plan)
{
    return plan->models[0];
}
