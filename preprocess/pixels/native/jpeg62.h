/* The application interface of libjpeg, binary version 6.2, as libjpeg-turbo keeps it: names and layout of the structures that an
 * application shares with the library (jpeglib.h of the Independent JPEG Group; https://libjpeg-turbo.org). Declared here because the
 * library inside Pillow comes without headers. jpeg_CreateDecompress refuses a caller whose structure has another size or version.
 */
#ifndef PORTPROOF_JPEG62_H
#define PORTPROOF_JPEG62_H

#include <stddef.h>

enum { JPEG_VERSION = 62, JPEG_HEADER_OK = 1 };
enum { JPEG_GREYSCALE = 1, JPEG_YCBCR = 3, JPEG_EXT_RGBX = 7 }; /* J_COLOR_SPACE */

struct jpeg_decompress;

struct jpeg_error {
    void (*error_exit)(struct jpeg_decompress *);
    void (*emit_message)(struct jpeg_decompress *, int level);
    void (*output_message)(struct jpeg_decompress *);
    void (*format_message)(struct jpeg_decompress *, char *);
    void (*reset_error)(struct jpeg_decompress *);
    int msg_code;
    union {
        int i[8];
        char s[80];
    } msg_parm;
    int trace_level;
    long num_warnings;
    const char *const *message_table;
    int last_message;
    const char *const *addon_table;
    int first_addon;
    int last_addon;
};

struct jpeg_source {
    const unsigned char *next_input_byte;
    size_t bytes_in_buffer;
    void (*init_source)(struct jpeg_decompress *);
    int (*fill_input_buffer)(struct jpeg_decompress *);
    void (*skip_input_data)(struct jpeg_decompress *, long);
    int (*resync_to_restart)(struct jpeg_decompress *, int);
    void (*term_source)(struct jpeg_decompress *);
};

struct jpeg_decompress {
    struct jpeg_error *err;
    void *mem;
    void *progress;
    void *client_data;
    int is_decompressor;
    int global_state;
    struct jpeg_source *src;
    unsigned int image_width, image_height;
    int num_components;
    int jpeg_color_space, out_color_space;
    unsigned int scale_num, scale_denom;
    double output_gamma;
    int buffered_image, raw_data_out, dct_method, do_fancy_upsampling, do_block_smoothing, quantize_colors, dither_mode;
    int two_pass_quantize, desired_number_of_colors, enable_1pass_quant, enable_external_quant, enable_2pass_quant;
    unsigned int output_width, output_height;
    int out_color_components, output_components, rec_outbuf_height, actual_number_of_colors;
    void *colormap;
    unsigned int output_scanline;
    int input_scan_number;
    unsigned int input_iMCU_row;
    int output_scan_number;
    unsigned int output_iMCU_row;
    void *coef_bits;
    void *quant_tables[4], *dc_tables[4], *ac_tables[4];
    int data_precision;
    void *comp_info;
    int progressive_mode, arith_code;
    unsigned char arith_dc_L[16], arith_dc_U[16], arith_ac_K[16];
    unsigned int restart_interval;
    int saw_JFIF_marker;
    unsigned char JFIF_major_version, JFIF_minor_version, density_unit;
    unsigned short X_density, Y_density;
    int saw_Adobe_marker;
    unsigned char Adobe_transform;
    int CCIR601_sampling;
    void *marker_list;
    int max_h_samp_factor, max_v_samp_factor, min_DCT_scaled_size;
    unsigned int total_iMCU_rows;
    void *sample_range_limit;
    int comps_in_scan;
    void *cur_comp_info[4];
    unsigned int MCUs_per_row, MCU_rows_in_scan;
    int blocks_in_MCU, MCU_membership[10], Ss, Se, Ah, Al, unread_marker;
    void *master, *main, *coef, *post, *inputctl, *marker, *entropy, *idct, *upsample, *cconvert, *cquantize;
};

/* The library's functions, found at run time in the library that Pillow itself uses. */
struct jpeg_functions {
    struct jpeg_error *(*std_error)(struct jpeg_error *);
    void (*create)(struct jpeg_decompress *, int version, size_t size);
    int (*read_header)(struct jpeg_decompress *, int require_image);
    int (*start)(struct jpeg_decompress *);
    void (*crop_scanline)(struct jpeg_decompress *, unsigned int *offset, unsigned int *width);
    unsigned int (*skip_scanlines)(struct jpeg_decompress *, unsigned int);
    unsigned int (*read_scanlines)(struct jpeg_decompress *, unsigned char **, unsigned int);
    int (*finish)(struct jpeg_decompress *);
    void (*destroy)(struct jpeg_decompress *);
    int (*resync)(struct jpeg_decompress *, int);
};

#endif
