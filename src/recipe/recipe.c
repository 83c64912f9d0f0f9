/* recipe/recipe.c - looking up settings and evaluating curves. */
#include "recipe/recipe.h"

const mg_setting *mg_settings_find(const mg_settings *settings, mg_str name)
{
    for (int64_t i = 0; i < settings->count; i++) {
        if (mg_str_equal(settings->items[i].name, name)) {
            return &settings->items[i];
        }
    }
    return NULL;
}

const mg_curve *mg_setting_match(const mg_setting *setting, mg_str tensor_name)
{
    for (int64_t i = 0; i < setting->condition_count; i++) {
        const mg_condition *condition = &setting->conditions[i];
        if (condition->filter.size == 0 || mg_str_is(condition->filter, "*") ||
            mg_str_find(tensor_name, condition->filter, 0) >= 0) {
            return &condition->curve;
        }
    }
    return NULL;
}

double mg_curve_at(const mg_curve *curve, double t)
{
    MG_ASSERT(curve->count > 0);
    if (curve->count == 1) {
        return curve->values[0];
    }
    double scaled = t * (double)(curve->count - 1);
    int64_t low = (int64_t)scaled;
    MG_ASSERT(low >= 0 && low < curve->count);
    int64_t high = MG_MIN(curve->count - 1, low + 1);
    double part = scaled - (double)low;
    return (1.0 - part) * curve->values[low] + part * curve->values[high];
}
