/* evolve/searchable.c - the table of methods that a search can weight. */
#include "evolve/searchable.h"

static const mg_searchable methods[] = {
    /* name, base, density, interpolates, masks, mergekit, normalizes, margin of density */
    { "linear", false, false, false, false, true, true, 0.0 },
    { "slerp", false, false, true, false, true, false, 0.0 },
    { "task_arithmetic", true, false, false, false, true, false, 0.0 },
    { "ties", true, true, false, false, true, true, 0.0 },
    { "dare_ties", true, true, false, true, true, true, 0.0 },
    { "dare_linear", true, true, false, true, false, false, 0.0 },
    /* Wider than epsilon, 0.15, by what rounding to bfloat16 may add. */
    { "della", true, true, false, true, false, false, 0.16 },
    { "della_linear", true, true, false, true, false, false, 0.16 },
    { "breadcrumbs", true, true, false, false, false, false, 0.0 },
    { "breadcrumbs_ties", true, true, false, false, false, false, 0.0 },
};

const mg_searchable *mg_searchable_find(mg_str name)
{
    for (int64_t i = 0; i < MG_ARRAY_COUNT(methods); i++) {
        if (mg_str_is(name, methods[i].name)) {
            return &methods[i];
        }
    }
    return NULL;
}

const char *mg_searchable_nearest(mg_str name)
{
    const char *names[MG_ARRAY_COUNT(methods)];
    for (int64_t i = 0; i < MG_ARRAY_COUNT(methods); i++) {
        names[i] = methods[i].name;
    }
    return mg_str_nearest(name, names, MG_ARRAY_COUNT(methods));
}
