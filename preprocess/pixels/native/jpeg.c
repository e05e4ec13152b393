/* The core straight from a JPEG file, with the decoder that is inside Pillow. */
#include "core.h"
#include "jpeg62.h"

#include <setjmp.h>
#include <stdlib.h>

/* A JPEG file in memory. Whatever is not a plain, whole, faultless file ends in USE_PILLOW, which then decodes it or says what is wrong. */
struct reader {
    struct jpeg_decompress jpeg;
    struct jpeg_error error;
    struct jpeg_source source;
    jmp_buf gave_up;
};

static void give_up(struct jpeg_decompress *jpeg) { longjmp(((struct reader *)jpeg->client_data)->gave_up, 1); }
static int no_more(struct jpeg_decompress *jpeg) {
    give_up(jpeg);
    return 0;
}
static void on_message(struct jpeg_decompress *jpeg, int level) {
    if (level < 0) give_up(jpeg); /* a warning: the data is damaged */
}
static void nothing(struct jpeg_decompress *jpeg) { (void)jpeg; }
static void skip(struct jpeg_decompress *jpeg, long bytes) {
    if (bytes <= 0) return;
    if ((size_t)bytes > jpeg->src->bytes_in_buffer) give_up(jpeg);
    jpeg->src->next_input_byte += bytes;
    jpeg->src->bytes_in_buffer -= (size_t)bytes;
}

/* Decode the rows and columns that the crop needs. Columns are decoded with a margin: at the edge of a cropped line the library has no
 * neighbour to interpolate colour from.
 * Rows below are skipped but for the last one, which is read: skipping to the very end reads no data at all, and a file that is cut off there
 * must be found out. */
static void decode(struct reader *r, const struct jpeg_functions *f, struct state *s, uint8_t *rows[AT_ONCE]) {
    struct jpeg_decompress *jpeg = &r->jpeg;
    const unsigned int margin = 32;
    unsigned int offset = (unsigned int)s->first_column > margin ? (unsigned int)s->first_column - margin : 0;
    unsigned int end = (unsigned int)s->end_column + margin;
    if (end > jpeg->output_width) end = jpeg->output_width;
    unsigned int width = end - offset;
    if (offset > 0 || width < jpeg->output_width) f->crop_scanline(jpeg, &offset, &width);
    if (s->first_row > 0) f->skip_scanlines(jpeg, (unsigned int)s->first_row);
    for (int y = s->first_row, count; y < s->end_row; y += count) {
        count = rows_at_once(s, y);
        for (int done = 0; done < count;) {
            const unsigned int more = f->read_scanlines(jpeg, rows + done, (unsigned int)(count - done));
            if (more == 0) give_up(jpeg);
            done += (int)more;
        }
        take_rows(s, y, count, rows, (int)offset);
    }
    if (jpeg->output_scanline < jpeg->output_height) {
        const unsigned int left = jpeg->output_height - jpeg->output_scanline;
        if (left > 1) f->skip_scanlines(jpeg, left - 1);
        if (f->read_scanlines(jpeg, rows, 1) != 1) give_up(jpeg);
    }
    f->finish(jpeg);
}

/* The height and width of a JPEG file in 8-bit grey or colour whose header Pillow reads without a complaint: of all markers up to the first
 * scan, each is one of the usual ones, and whole. USE_PILLOW for any other, which Pillow reads, or says what is wrong with it. */
int portproof_header(const uint8_t *data, size_t size, int32_t found[2]) {
    int layers = 0;
    if (size < 4 || data[0] != 0xff || data[1] != 0xd8) return USE_PILLOW;
    for (size_t at = 2; size - at >= 4;) {
        const size_t length = (size_t)data[at + 2] << 8 | data[at + 3];
        if (data[at] != 0xff || length < 2 || length > size - at - 2) return USE_PILLOW;
        const uint8_t *body = data + at + 4;
        const size_t left = length - 2;
        switch (data[at + 1]) {
        case 0xc4: /* Huffman tables, restarts, a comment: Pillow does not look at them */
        case 0xdd:
        case 0xfe: break;
        case 0xe0: /* JFIF */
            if (left < 14) return USE_PILLOW;
            break;
        case 0xdb: /* quantisation tables of bytes */
            for (size_t i = 0; i < left; i += 65)
                if (body[i] > 15 || left - i < 65) return USE_PILLOW;
            break;
        case 0xc0: /* the frame, baseline or progressive */
        case 0xc2:
            if (layers || left < 6 || body[0] != 8 || (body[5] != 1 && body[5] != 3) || left != 6 + 3 * (size_t)body[5]) return USE_PILLOW;
            layers = body[5];
            found[0] = body[1] << 8 | body[2];
            found[1] = body[3] << 8 | body[4];
            break;
        case 0xda: return layers && found[0] && found[1] ? OK : USE_PILLOW;
        default: return USE_PILLOW;
        }
        at += 2 + length;
    }
    return USE_PILLOW;
}

/* Decode, resize and crop a JPEG file into a sample. The job's width and height are what the caller read in the header. */
int portproof_jpeg(const uint8_t *data, size_t size, const struct jpeg_functions *f, const struct job *job, void *out) {
    struct state s;
    struct reader *r = calloc(1, sizeof *r);
    uint8_t *rows[AT_ONCE], *block = open_rows((size_t)job->width + 64, rows);
    volatile int code = open_state(&s, job);
    if (!r || !block) code = NO_MEMORY;
    if (code == OK) {
        r->jpeg.err = f->std_error(&r->error);
        r->error.error_exit = give_up;
        r->error.emit_message = on_message;
        r->error.output_message = nothing;
        r->jpeg.client_data = r;
        if (setjmp(r->gave_up)) {
            code = USE_PILLOW;
        } else {
            f->create(&r->jpeg, JPEG_VERSION, sizeof r->jpeg);
            r->jpeg.client_data = r;
            r->source = (struct jpeg_source){data, size, nothing, no_more, skip, f->resync, nothing};
            r->jpeg.src = &r->source;
            const int header = f->read_header(&r->jpeg, 1);
            const int colours = r->jpeg.jpeg_color_space;
            if (header != JPEG_HEADER_OK || (colours != JPEG_YCBCR && colours != JPEG_GREYSCALE) || r->jpeg.data_precision != 8 ||
                r->jpeg.image_width != (unsigned int)job->width || r->jpeg.image_height != (unsigned int)job->height)
                give_up(&r->jpeg);
            r->jpeg.out_color_space = JPEG_EXT_RGBX;
            if (!f->start(&r->jpeg)) give_up(&r->jpeg);
            decode(r, f, &s, rows);
        }
        f->destroy(&r->jpeg);
        if (code == OK) finish_rows(&s, out);
    }
    close_state(&s);
    free(block);
    free(r);
    leave_vectors();
    return code;
}
