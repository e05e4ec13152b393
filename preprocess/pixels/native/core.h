/* What the parts of the compiled core share; core.c says what it is. */
#ifndef PORTPROOF_CORE_H
#define PORTPROOF_CORE_H

#include <stddef.h>
#include <stdint.h>

#define BITS (32 - 8 - 2) /* of a weight's fraction, as in Pillow */
#define AT_ONCE 4         /* source rows that are resized horizontally together: they share every weight */

enum { OK = 0, NO_MEMORY = -1, USE_PILLOW = -2 };

/* One image's work. Sizes in pixels; the order of the fields is the caller's ctypes structure. */
struct job {
    int32_t width, height;                     /* of the image */
    int32_t new_width, new_height;             /* after the resize */
    int32_t left, top, kept_width, kept_height; /* what the crop keeps of the resized image */
    int32_t place_left, place_top;             /* where that lies in the sample */
    int32_t sample_width, sample_height;
    int32_t filter;
    int32_t bgr, nhwc, item_size;              /* item_size: bytes of one value (4, 2 or 1) */
    uint8_t fill[4];                           /* R, G, B of what the image does not cover */
    const void *tables;                        /* 3 x 256 values, in the order of the sample's channels; unused for bytes */
    const struct axes *axes;                   /* as portproof_make_axes makes them: images of one size share them */
};

/* One axis: the source pixels that each kept pixel is made of, and their weights. */
struct axis {
    int size;        /* weights a pixel, a multiple of four */
    int *first;      /* first source pixel of each kept pixel */
    int *count;      /* number of source pixels */
    int32_t *weight; /* size weights a kept pixel, zero beyond count */
};

/* Both axes of a job; one that is not resized is empty. What they point to lies behind them. */
struct axes {
    struct axis across, down;
};

/* The work in progress: rows arrive a few at a time, are resized horizontally, and kept as three planes a row until the last one is there. */
struct state {
    const struct job *job;
    const struct axis *across, *down;
    int resize_across, resize_down;
    int first_row, end_row;       /* source rows that the kept rows need */
    int first_column, end_column; /* source columns that the kept columns need */
    uint8_t *rows;                /* (end_row - first_row) x 3 x kept_width */
    uint8_t *lines;               /* AT_ONCE lines of kept_width RGBX pixels, resized horizontally */
    uint8_t *levels;              /* three planes of one line of the sample */
};

/* A weighted sum of levels as a level: rounded, and cut to 8 bits. */
static inline uint8_t clip(int32_t sum) {
    sum >>= BITS;
    sum = sum < 0 ? 0 : sum;
    return (uint8_t)(sum > 255 ? 255 : sum);
}

/* Clear the upper halves of the vector registers, which not every compiler does at every return: while they are not clear, the SSE
 * instructions of other libraries (SHA-256 among them) take up to twice as long. */
static inline void leave_vectors(void) {
#if defined(__AVX__)
    __builtin_ia32_vzeroupper();
#endif
}

/* How many rows from y on are taken together. */
static inline int rows_at_once(const struct state *s, int y) { return s->end_row - y < AT_ONCE ? s->end_row - y : AT_ONCE; }

/* weights.c */
size_t axis_bytes(int in, int out, int kept, int filter);
int make_axis(struct axis *axis, int in, int out, int start, int kept, int filter, void *memory);

/* horizontal.c */
void split_weights(struct axis *axis, int kept);
void take_rows(struct state *s, int y, int count, uint8_t *const rows[AT_ONCE], int column);

/* core.c */
int open_state(struct state *s, const struct job *job);
uint8_t *open_rows(size_t columns, uint8_t *rows[AT_ONCE]);
void finish_rows(struct state *s, void *out);
void close_state(struct state *s);

#endif
