/* The weights of a resize: Pillow's filters and their coefficients (precompute_coeffs and normalize_coeffs_8bpc in Resample.c). */
#include "core.h"

#include <math.h>
#include <stdlib.h>

#define PI 3.14159265358979323846

static double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinear(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x) {
    x = fabs(x);
    if (x == 0.0) return 1.0;
    if (x >= 1.0) return 0.0;
    x *= PI;
    return sin(x) / x * (0.54f + 0.46f * cos(x));
}

static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x *= PI;
    return sin(x) / x;
}

static double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

/* In the order of FILTERS in __init__.py. */
static const struct {
    double (*of)(double);
    double support;
} FILTERS[] = {{box, 0.5}, {bilinear, 1.0}, {hamming, 1.0}, {bicubic, 2.0}, {lanczos, 3.0}};

static double stretch_of(int in, int out) { return in < out ? 1.0 : (double)in / out; }

/* Weights a pixel. */
static int weights_of(int in, int out, int filter) { return ((int)ceil(FILTERS[filter].support * stretch_of(in, out)) * 2 + 1 + 3) & ~3; }

/* The memory that an axis takes. */
size_t axis_bytes(int in, int out, int kept, int filter) {
    return (size_t)kept * (2 * sizeof(int) + sizeof(int32_t) * (size_t)weights_of(in, out, filter));
}

/* Weights of the kept pixels start .. start + kept of an axis resized from in to out, in memory that is zero. */
int make_axis(struct axis *axis, int in, int out, int start, int kept, int filter, void *memory) {
    const double scale = (double)in / out, stretch = stretch_of(in, out);
    const double support = FILTERS[filter].support * stretch, inverse = 1.0 / stretch;
    axis->size = weights_of(in, out, filter);
    axis->first = memory;
    axis->count = axis->first + kept;
    axis->weight = (int32_t *)(axis->count + kept);
    double *exact = malloc(sizeof(double) * axis->size);
    if (!exact) return NO_MEMORY;
    for (int i = 0; i < kept; i++) {
        const double centre = (start + i + 0.5) * scale;
        double sum = 0.0;
        int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        if (first < 0) first = 0;
        if (end > in) end = in;
        axis->first[i] = first;
        axis->count[i] = end - first;
        for (int j = 0; j < end - first; j++) {
            exact[j] = FILTERS[filter].of((j + first - centre + 0.5) * inverse);
            sum += exact[j];
        }
        for (int j = 0; j < end - first; j++) {
            if (sum != 0.0) exact[j] /= sum;
            axis->weight[(size_t)i * axis->size + j] = (int32_t)((exact[j] < 0 ? -0.5 : 0.5) + exact[j] * (1 << BITS));
        }
    }
    free(exact);
    return OK;
}
