/* The bound map of evolution.md 6.5: image, continuity, identity, period, inverse (17.4). */
#include "support.h"

#include <math.h>

#include "optim/bounds.h"

static const double boxes[][2] = { { 0.0, 1.0 }, { -0.5, 1.5 }, { -3.0, 40.0 }, { 0.0, 0.02 } };

#define BOXES (int)(sizeof(boxes) / sizeof(boxes[0]))

static void image_stays_in_the_box_and_is_continuous(void **state)
{
    (void)state;
    for (int b = 0; b < BOXES; b++) {
        double l = boxes[b][0], u = boxes[b][1];
        double step = (u - l) / 2000.0;
        double last = mg_bound_transform(l - 10.0 * (u - l), l, u);
        for (double x = l - 10.0 * (u - l); x < u + 10.0 * (u - l); x += step) {
            double y = mg_bound_transform(x, l, u);
            assert_true(y >= l && y <= u);
            assert_true(fabs(y - last) <= 1.0001 * step);
            last = y;
        }
    }
}

static void middle_is_the_identity(void **state)
{
    (void)state;
    for (double x = 0.05; x <= 0.95; x += 0.001) {
        assert_true(mg_bound_transform(x, 0.0, 1.0) == x);
    }
}

static void bounds_themselves_are_reached(void **state)
{
    (void)state;
    assert_true(mg_bound_transform(-0.05, 0.0, 1.0) == 0.0);
    assert_true(fabs(mg_bound_transform(1.05, 0.0, 1.0) - 1.0) < 1e-15);
}

static void map_is_periodic(void **state)
{
    (void)state;
    for (int b = 0; b < BOXES; b++) {
        double l = boxes[b][0], u = boxes[b][1];
        double a_l = fmin((u - l) / 2.0, 0.05 * fmax(1.0, fabs(l)));
        double a_u = fmin((u - l) / 2.0, 0.05 * fmax(1.0, fabs(u)));
        double period = 2.0 * (u - l + a_l + a_u);
        for (double s = -1.5; s < 2.5; s += 0.01) {
            double x = l + s * (u - l);
            double once = mg_bound_transform(x, l, u);
            assert_true(fabs(mg_bound_transform(x + 3.0 * period, l, u) - once) < 1e-9);
            assert_true(fabs(mg_bound_transform(x - 7.0 * period, l, u) - once) < 1e-9);
        }
    }
}

static void inverse_returns_a_point_with_that_image(void **state)
{
    (void)state;
    for (int b = 0; b < BOXES; b++) {
        double l = boxes[b][0], u = boxes[b][1];
        for (double s = 0.0; s <= 1.0; s += 0.001) {
            double y = l + s * (u - l);
            double x = mg_bound_inverse(y, l, u);
            assert_true(fabs(mg_bound_transform(x, l, u) - y) < 1e-12 * (1.0 + fabs(u)));
        }
    }
}

static void restriction_keeps_images_and_ends_at_the_bounds(void **state)
{
    (void)state;
    for (int b = 0; b < BOXES; b++) {
        double l = boxes[b][0], u = boxes[b][1];
        for (double s = 0.0; s <= 1.0; s += 0.01) {
            double x = mg_bound_inverse(l + s * (u - l), l, u);
            assert_true(mg_bound_restrict(x, l, u) == x);
        }
        double far = mg_bound_restrict(u + 7.0 * (u - l), l, u);
        assert_true(fabs(mg_bound_transform(far, l, u) - u) < 1e-12 * (1.0 + fabs(u)));
        far = mg_bound_restrict(l - 7.0 * (u - l), l, u);
        assert_true(fabs(mg_bound_transform(far, l, u) - l) < 1e-12 * (1.0 + fabs(l)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(image_stays_in_the_box_and_is_continuous),
        cmocka_unit_test(middle_is_the_identity),
        cmocka_unit_test(bounds_themselves_are_reached),
        cmocka_unit_test(map_is_periodic),
        cmocka_unit_test(inverse_returns_a_point_with_that_image),
        cmocka_unit_test(restriction_keeps_images_and_ends_at_the_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
