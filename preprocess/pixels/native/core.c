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

#define BLOCK 64 /* levels that the vertical pass makes together */

/* The memory that the axes of a job take. */
size_t portproof_axes_size(const struct job *job) {
    return sizeof(struct axes) + axis_bytes(job->width, job->new_width, job->kept_width, job->filter) +
           axis_bytes(job->height, job->new_height, job->kept_height, job->filter);
}

/* Make them in memory of that size, which is zero and stays in its place. */
int portproof_make_axes(const struct job *job, struct axes *axes) {
    char *memory = (char *)(axes + 1);
    if (job->new_width != job->width) {
        if (make_axis(&axes->across, job->width, job->new_width, job->left, job->kept_width, job->filter, memory)) return NO_MEMORY;
        split_weights(&axes->across, job->kept_width);
        memory += axis_bytes(job->width, job->new_width, job->kept_width, job->filter);
    }
    if (job->new_height == job->height) return OK;
    return make_axis(&axes->down, job->height, job->new_height, job->top, job->kept_height, job->filter, memory);
}

int open_state(struct state *s, const struct job *job) {
    memset(s, 0, sizeof *s);
    s->job = job;
    s->across = &job->axes->across;
    s->down = &job->axes->down;
    s->resize_across = job->new_width != job->width;
    s->resize_down = job->new_height != job->height;
    s->first_row = job->top;
    s->end_row = job->top + job->kept_height;
    s->first_column = job->left;
    s->end_column = job->left + job->kept_width;
    if (s->resize_across) {
        const int last = job->kept_width - 1;
        s->first_column = s->across->first[0];
        s->end_column = s->across->first[last] + s->across->count[last];
    }
    if (s->resize_down) {
        const int last = job->kept_height - 1;
        s->first_row = s->down->first[0];
        s->end_row = s->down->first[last] + s->down->count[last];
    }
    s->rows = malloc((size_t)(s->end_row - s->first_row) * 3 * job->kept_width + BLOCK);
    s->lines = malloc((size_t)AT_ONCE * 4 * job->kept_width);
    s->levels = malloc((size_t)3 * job->sample_width + BLOCK);
    return s->rows && s->lines && s->levels ? OK : NO_MEMORY;
}

void close_state(struct state *s) {
    free(s->rows);
    free(s->lines);
    free(s->levels);
}

/* Store one row of one channel of the sample, its values looked up; bytes are the levels themselves. */
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
    } else { /* raw levels: no table */
        uint8_t *target = (uint8_t *)out + at;
        if (step == 1) memcpy(target, levels, (size_t)job->kept_width);
        for (int x = 0; step != 1 && x < job->kept_width; x++) target[(size_t)x * step] = levels[x];
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

/* One row of the vertical pass: `count` lines of `length` levels, `length` apart, become one. Sums stay in registers over all lines, a block
 * after the other; the last block goes beyond the end of a line, where there is room. */
static void down(const uint8_t *lines, size_t length, const int32_t *weight, int count, uint8_t *restrict levels) {
    for (size_t x = 0; x < length; x += BLOCK) {
        int32_t sums[BLOCK];
        for (int i = 0; i < BLOCK; i++) sums[i] = 1 << (BITS - 1);
        for (int j = 0; j < count; j++) {
            const uint8_t *restrict source = lines + (size_t)j * length + x;
            for (int i = 0; i < BLOCK; i++) sums[i] += source[i] * weight[j];
        }
        for (int i = 0; i < BLOCK; i++) levels[x + i] = clip(sums[i]);
    }
}

/* The vertical pass over the rows that were taken, into the sample. */
void finish_rows(struct state *s, void *out) {
    const struct job *job = s->job;
    const size_t width = (size_t)job->kept_width, length = 3 * width;
    fill(job, s->levels, out);
    for (int y = 0; y < job->kept_height; y++) {
        const uint8_t *levels = s->rows + (size_t)y * length;
        if (s->resize_down) {
            const uint8_t *lines = s->rows + (size_t)(s->down->first[y] - s->first_row) * length;
            down(lines, length, s->down->weight + (size_t)y * s->down->size, s->down->count[y], s->levels);
            levels = s->levels;
        }
        for (int channel = 0; channel < 3; channel++) store(job, levels + channel * width, y, channel, out);
    }
}

/* Room for AT_ONCE rows of RGBX pixels, each readable for 16 bytes beyond its end; NULL without memory. No row begins at a multiple of 16
 * bytes: at such a place libjpeg-turbo stores past the caches, and the rows are read again at once. */
uint8_t *open_rows(size_t columns, uint8_t *rows[AT_ONCE]) {
    const size_t stride = ((columns * 4 + 16 + 15) & ~(size_t)15) + 16;
    uint8_t *block = calloc(stride, AT_ONCE + 1);
    for (int i = 0; block && i < AT_ONCE; i++) rows[i] = block + stride * i + 4 + (16 - (uintptr_t)block % 16) % 16;
    return block;
}

/* Resample an RGB image (3 bytes a pixel, `stride` bytes a row) into a sample. */
int portproof_resample(const uint8_t *pixels, ptrdiff_t stride, const struct job *job, void *out) {
    struct state s;
    int code = open_state(&s, job);
    const int columns = s.end_column - s.first_column;
    uint8_t *rows[AT_ONCE], *block = code == OK ? open_rows((size_t)columns, rows) : NULL;
    if (code == OK && !block) code = NO_MEMORY;
    if (code == OK) {
        for (int y = s.first_row, count; y < s.end_row; y += count) {
            count = rows_at_once(&s, y);
            for (int i = 0; i < count; i++) {
                const uint8_t *source = pixels + (y + i) * stride + 3 * (ptrdiff_t)s.first_column;
                for (int x = 0; x < columns; x++) memcpy(rows[i] + 4 * x, source + 3 * x, 3);
            }
            take_rows(&s, y, count, rows, s.first_column);
        }
        finish_rows(&s, out);
    }
    free(block);
    close_state(&s);
    leave_vectors();
    return code;
}

/* For the caller's check that both sides mean the same structure. */
size_t portproof_job_size(void) { return sizeof(struct job); }
