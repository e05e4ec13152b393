/* Resize, crop, look values up and lay them out, computing only what the crop keeps; and the same straight from a JPEG file.
 *
 * The resize is Pillow's for 8-bit images (src/libImaging/Resample.c): coefficients in double precision, rounded to 22 bits, a horizontal
 * pass rounded to 8 bits, then a vertical one. Every sum is exact integer arithmetic, so leaving out what the crop drops changes no bit.
 * The caller sees to it that Pillow, too, would run the horizontal pass first.
 *
 * All functions return 0, or a negative reason; they keep no state and may run in several threads.
 */
#include "core.h"

#include <stdlib.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

static uint8_t clip(int32_t sum) {
    sum >>= BITS;
    return sum < 0 ? 0 : sum > 255 ? 255 : (uint8_t)sum;
}

int open_state(struct state *s, const struct job *job) {
    memset(s, 0, sizeof *s);
    s->job = job;
    s->resize_across = job->new_width != job->width;
    s->resize_down = job->new_height != job->height;
    s->first_row = job->top;
    s->end_row = job->top + job->kept_height;
    s->first_column = job->left;
    s->end_column = job->left + job->kept_width;
    if (s->resize_across) {
        if (make_axis(&s->across, job->width, job->new_width, job->left, job->kept_width, job->filter)) return NO_MEMORY;
        split_weights(&s->across, job->kept_width);
        const int last = job->kept_width - 1;
        s->first_column = s->across.first[0];
        s->end_column = s->across.first[last] + s->across.count[last];
    }
    if (s->resize_down) {
        if (make_axis(&s->down, job->height, job->new_height, job->top, job->kept_height, job->filter)) return NO_MEMORY;
        const int last = job->kept_height - 1;
        s->first_row = s->down.first[0];
        s->end_row = s->down.first[last] + s->down.count[last];
    }
    s->rows = malloc((size_t)(s->end_row - s->first_row) * 3 * job->kept_width);
    s->sums = malloc(sizeof(int32_t) * job->kept_width);
    s->levels = malloc((size_t)job->sample_width);
    return s->rows && s->sums && s->levels ? OK : NO_MEMORY;
}

void close_state(struct state *s) {
    free_axis(&s->across);
    free_axis(&s->down);
    free(s->rows);
    free(s->sums);
    free(s->levels);
}

/* The levels of one resized pixel: weighted sums of the channels of RGBX pixels, four at a time, rounded to 8 bits. The sums are of
 * integers: the order of the additions changes nothing. */
#if defined(__AVX2__)
/* A weight w of 22 bits is split into w = high * 2048 + low, so that one instruction adds the 16-bit products of two pixels. Of every four
 * weights, `weight` holds the high parts of the first and the last two, and then their low parts (split_weights). */
static inline void weigh(const uint8_t *source, const int32_t *weight, int fours, uint8_t levels[4]) {
    const __m256i by_channel = _mm256_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1, /* pixels 0 and 1 */
                                                8, -1, 12, -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1);
    __m256i high = _mm256_setzero_si256(), low = _mm256_setzero_si256();
    for (int j = 0; j < fours; j++, source += 16, weight += 4) {
        const __m256i four = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)source));
        const __m256i pixels = _mm256_shuffle_epi8(four, by_channel);
        const __m256i highs = _mm256_blend_epi32(_mm256_set1_epi32(weight[0]), _mm256_set1_epi32(weight[1]), 0xf0);
        const __m256i lows = _mm256_blend_epi32(_mm256_set1_epi32(weight[2]), _mm256_set1_epi32(weight[3]), 0xf0);
        high = _mm256_add_epi32(high, _mm256_madd_epi16(pixels, highs));
        low = _mm256_add_epi32(low, _mm256_madd_epi16(pixels, lows));
    }
    const __m256i total = _mm256_add_epi32(_mm256_slli_epi32(high, 11), low);
    __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
    sums = _mm_srai_epi32(_mm_add_epi32(sums, _mm_set1_epi32(1 << (BITS - 1))), BITS);
    sums = _mm_packs_epi32(sums, sums);
    const int32_t packed = _mm_cvtsi128_si32(_mm_packus_epi16(sums, sums));
    memcpy(levels, &packed, 4);
}
#else
static inline void weigh(const uint8_t *source, const int32_t *weight, int fours, uint8_t levels[4]) {
    int32_t sums[4] = {1 << (BITS - 1), 1 << (BITS - 1), 1 << (BITS - 1), 0};
    for (int j = 0; j < 4 * fours; j++)
        for (int c = 0; c < 4; c++) sums[c] += source[4 * j + c] * weight[j];
    for (int c = 0; c < 3; c++) levels[c] = clip(sums[c]);
}
#endif

/* Take source row y. `row` is RGBX from source column `column` on, readable for 16 bytes beyond its last needed pixel. */
void take_row(struct state *s, int y, const uint8_t *row, int column) {
    const int width = s->job->kept_width;
    uint8_t *red = s->rows + (size_t)(y - s->first_row) * 3 * width, *green = red + width, *blue = green + width;
    if (!s->resize_across) {
        const uint8_t *source = row + 4 * (size_t)(s->first_column - column);
        for (int x = 0; x < width; x++, source += 4) red[x] = source[0], green[x] = source[1], blue[x] = source[2];
        return;
    }
    for (int x = 0; x < width; x++) {
        uint8_t levels[4];
        const int fours = (s->across.count[x] + 3) / 4;
        weigh(row + 4 * (size_t)(s->across.first[x] - column), s->across.weight + (size_t)x * s->across.size, fours, levels);
        red[x] = levels[0];
        green[x] = levels[1];
        blue[x] = levels[2];
    }
}

/* Store one row of one channel of the sample, its values looked up. */
static void store(const struct job *job, const uint8_t *levels, int y, int channel, void *out) {
    const int slot = job->bgr ? 2 - channel : channel, step = job->nhwc ? 3 : 1;
    const size_t line = (size_t)(job->place_top + y) * job->sample_width + job->place_left;
    const size_t at = job->nhwc ? line * 3 + slot : (size_t)slot * job->sample_width * job->sample_height + line;
    if (job->item_size == 4) {
        const uint32_t *table = (const uint32_t *)job->tables + 256 * slot;
        uint32_t *target = (uint32_t *)out + at;
        for (int x = 0; x < job->kept_width; x++) target[(size_t)x * step] = table[levels[x]];
    } else if (job->item_size == 2) {
        const uint16_t *table = (const uint16_t *)job->tables + 256 * slot;
        uint16_t *target = (uint16_t *)out + at;
        for (int x = 0; x < job->kept_width; x++) target[(size_t)x * step] = table[levels[x]];
    } else {
        const uint8_t *table = (const uint8_t *)job->tables + 256 * slot;
        uint8_t *target = (uint8_t *)out + at;
        for (int x = 0; x < job->kept_width; x++) target[(size_t)x * step] = table[levels[x]];
    }
}

/* Fill the whole sample, when the kept part does not cover it. */
static void fill(const struct job *job, uint8_t *line, void *out) {
    if (job->kept_width == job->sample_width && job->kept_height == job->sample_height) return;
    struct job whole = *job;
    whole.place_left = whole.place_top = 0;
    whole.kept_width = job->sample_width;
    for (int channel = 0; channel < 3; channel++) {
        memset(line, job->fill[channel], (size_t)job->sample_width);
        for (int y = 0; y < job->sample_height; y++) store(&whole, line, y, channel, out);
    }
}

/* The vertical pass over the rows that were taken, into the sample. */
void finish_rows(struct state *s, void *out) {
    const struct job *job = s->job;
    const int width = job->kept_width;
    fill(job, s->levels, out);
    for (int y = 0; y < job->kept_height; y++) {
        for (int channel = 0; channel < 3; channel++) {
            if (!s->resize_down) {
                store(job, s->rows + ((size_t)y * 3 + channel) * width, y, channel, out);
                continue;
            }
            const int32_t *weight = s->down.weight + (size_t)y * s->down.size;
            const uint8_t *row = s->rows + ((size_t)(s->down.first[y] - s->first_row) * 3 + channel) * width;
            int32_t *restrict sums = s->sums;
            for (int x = 0; x < width; x++) sums[x] = 1 << (BITS - 1);
            for (int j = 0; j < s->down.count[y]; j++, row += (size_t)3 * width) {
                const uint8_t *restrict source = row;
                const int32_t w = weight[j];
                for (int x = 0; x < width; x++) sums[x] += source[x] * w;
            }
            uint8_t *restrict levels = s->levels;
            for (int x = 0; x < width; x++) levels[x] = clip(sums[x]);
            store(job, levels, y, channel, out);
        }
    }
}

/* Resample an RGB image (3 bytes a pixel, `stride` bytes a row) into a sample. */
int portproof_resample(const uint8_t *pixels, ptrdiff_t stride, const struct job *job, void *out) {
    struct state s;
    int code = open_state(&s, job);
    const int columns = s.end_column - s.first_column;
    uint8_t *row = code == OK ? calloc((size_t)columns * 4 + 16, 1) : NULL;
    if (code == OK && !row) code = NO_MEMORY;
    if (code == OK) {
        for (int y = s.first_row; y < s.end_row; y++) {
            const uint8_t *source = pixels + y * stride + 3 * (ptrdiff_t)s.first_column;
            for (int x = 0; x < columns; x++) memcpy(row + 4 * x, source + 3 * x, 3);
            take_row(&s, y, row, s.first_column);
        }
        finish_rows(&s, out);
    }
    free(row);
    close_state(&s);
    return code;
}

/* For the caller's check that both sides mean the same structure. */
size_t portproof_job_size(void) { return sizeof(struct job); }
