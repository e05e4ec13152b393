/* The horizontal pass: weighted sums of neighbouring pixels of RGBX rows, four rows together, since they share every weight.
 *
 * Sums are of integers in 32 bits, as in Pillow, so neither the order of the additions nor a split of the weights changes a bit. A weight is
 * below 1.3 in size (lanczos, at the edge of an image of two pixels, has the largest): every split below holds more.
 */
#include "core.h"

#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512BW__) && defined(__AVX512VNNI__)
/* Four weights of 22 bits become three digits each, base 256 and signed: one instruction adds the products of four pixels of four rows with
 * one digit. Every four weights hold their four highest digits, the middle ones, the lowest ones, and nothing. */
static void split_four(int32_t w[4]) {
    uint32_t digits[3] = {0, 0, 0};
    for (int j = 0; j < 4; j++) {
        const int32_t low = (int8_t)(w[j] & 255), rest = (w[j] - low) / 256, middle = (int8_t)(rest & 255);
        digits[0] |= (uint32_t)((rest - middle) / 256 & 255) << 8 * j;
        digits[1] |= (uint32_t)(middle & 255) << 8 * j;
        digits[2] |= (uint32_t)(low & 255) << 8 * j;
    }
    memcpy(w, digits, sizeof digits);
}

/* The levels of one resized pixel in four rows, RGBX each. */
static inline void weigh(uint8_t *const rows[AT_ONCE], size_t at, const int32_t *weight, int fours, uint8_t levels[16]) {
    const __m512i by_channel = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    __m512i high = _mm512_setzero_si512(), middle = _mm512_setzero_si512(), low = _mm512_set1_epi32(1 << (BITS - 1));
    for (int j = 0; j < fours; j++, at += 16, weight += 4) {
        __m512i pixels = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(rows[0] + at)));
        pixels = _mm512_inserti32x4(pixels, _mm_loadu_si128((const __m128i *)(rows[1] + at)), 1);
        pixels = _mm512_inserti32x4(pixels, _mm_loadu_si128((const __m128i *)(rows[2] + at)), 2);
        pixels = _mm512_inserti32x4(pixels, _mm_loadu_si128((const __m128i *)(rows[3] + at)), 3);
        pixels = _mm512_shuffle_epi8(pixels, by_channel);
        high = _mm512_dpbusd_epi32(high, pixels, _mm512_set1_epi32(weight[0]));
        middle = _mm512_dpbusd_epi32(middle, pixels, _mm512_set1_epi32(weight[1]));
        low = _mm512_dpbusd_epi32(low, pixels, _mm512_set1_epi32(weight[2]));
    }
    __m512i sums = _mm512_add_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, 16), _mm512_slli_epi32(middle, 8)), low);
    sums = _mm512_max_epi32(_mm512_srai_epi32(sums, BITS), _mm512_setzero_si512());
    _mm_storeu_si128((__m128i *)levels, _mm512_cvtusepi32_epi8(sums));
}
#elif defined(__AVX2__)
/* A weight w of 22 bits is split into w = high * 2048 + low, so that one instruction adds the 16-bit products of two pixels of two rows.
 * Every four weights hold the high parts of the first two and the last two, and then their low parts. */
static void split_four(int32_t w[4]) {
    int32_t high[4], low[4];
    for (int j = 0; j < 4; j++) {
        low[j] = w[j] & 2047;
        high[j] = (w[j] - low[j]) / 2048;
    }
    for (int j = 0; j < 2; j++) {
        w[j] = (int32_t)((uint32_t)high[2 * j + 1] << 16 | ((uint32_t)high[2 * j] & 0xffff));
        w[j + 2] = low[2 * j + 1] << 16 | low[2 * j];
    }
}

/* Four pixels of two rows as 16-bit levels, the first two or the last two of them side by side in each channel. */
static inline __m256i pairs(const uint8_t *first, const uint8_t *second, __m256i order) {
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)first)),
                                                 _mm_loadu_si128((const __m128i *)second), 1);
    return _mm256_shuffle_epi8(both, order);
}

static inline __m256i rounded(__m256i high, __m256i low) {
    const __m256i sums = _mm256_add_epi32(_mm256_slli_epi32(high, 11), low);
    return _mm256_srai_epi32(_mm256_add_epi32(sums, _mm256_set1_epi32(1 << (BITS - 1))), BITS);
}

/* The levels of one resized pixel in four rows, RGBX each. */
static inline void weigh(uint8_t *const rows[AT_ONCE], size_t at, const int32_t *weight, int fours, uint8_t levels[16]) {
    const __m256i first_two = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1));
    const __m256i last_two = _mm256_or_si256(first_two, _mm256_set1_epi16(8));
    __m256i high[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()}, low[2] = {high[0], high[0]};
    for (int j = 0; j < fours; j++, at += 16, weight += 4) {
        const __m256i highs[2] = {_mm256_set1_epi32(weight[0]), _mm256_set1_epi32(weight[1])};
        const __m256i lows[2] = {_mm256_set1_epi32(weight[2]), _mm256_set1_epi32(weight[3])};
        for (int i = 0; i < 2; i++) {
            const __m256i one = pairs(rows[2 * i] + at, rows[2 * i + 1] + at, first_two);
            const __m256i two = pairs(rows[2 * i] + at, rows[2 * i + 1] + at, last_two);
            high[i] = _mm256_add_epi32(high[i], _mm256_add_epi32(_mm256_madd_epi16(one, highs[0]), _mm256_madd_epi16(two, highs[1])));
            low[i] = _mm256_add_epi32(low[i], _mm256_add_epi32(_mm256_madd_epi16(one, lows[0]), _mm256_madd_epi16(two, lows[1])));
        }
    }
    /* Packing works in halves: rows 0, 2 and then 1, 3. */
    const __m256i words = _mm256_packs_epi32(rounded(high[0], low[0]), rounded(high[1], low[1]));
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(words, words), 0xd8);
    const __m128i in_order = _mm_shuffle_epi32(_mm256_castsi256_si128(bytes), 0xd8);
    _mm_storeu_si128((__m128i *)levels, in_order);
}
#else
/* In the vectors of GCC and Clang, which become NEON, SSE, or whatever there is. */
typedef int32_t four_rows __attribute__((vector_size(16)));

static void split_four(int32_t w[4]) { (void)w; }

/* The levels of one resized pixel in four rows, RGBX each. */
static inline void weigh(uint8_t *const rows[AT_ONCE], size_t at, const int32_t *weight, int fours, uint8_t levels[16]) {
    four_rows sums[4], all = {0};
    for (int c = 0; c < 4; c++) sums[c] = all + (1 << (BITS - 1));
    for (int j = 0; j < 4 * fours; j++, at += 4) {
        int32_t pixel[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++) memcpy(pixel + i, rows[i] + at, 4);
        const four_rows pixels = {pixel[0], pixel[1], pixel[2], pixel[3]};
        for (int c = 0; c < 4; c++) sums[c] += (pixels >> 8 * c & 255) * weight[j];
    }
    for (int c = 0; c < 4; c++) {
        const four_rows level = sums[c] >> BITS, positive = level & ~(level >> 31);
        all |= ((positive | (255 - positive) >> 31) & 255) << 8 * c;
    }
    memcpy(levels, &all, 16);
}
#endif

/* Rearrange the weights of an axis as `weigh` reads them. */
void split_weights(struct axis *axis, int kept) {
    for (size_t i = 0; i < (size_t)axis->size * kept; i += 4) split_four(axis->weight + i);
}

/* Keep one resized line as three planes. */
static void spread(uint8_t *restrict planes, const uint8_t *restrict line, int width) {
    uint8_t *red = planes, *green = red + width, *blue = green + width;
    for (int x = 0; x < width; x++) red[x] = line[4 * x];
    for (int x = 0; x < width; x++) green[x] = line[4 * x + 1];
    for (int x = 0; x < width; x++) blue[x] = line[4 * x + 2];
}

/* Take `count` source rows from y on. They are RGBX from source column `column` on, and all AT_ONCE are readable for 16 bytes beyond their
 * last needed pixel. */
void take_rows(struct state *s, int y, int count, uint8_t *const rows[AT_ONCE], int column) {
    const int width = s->job->kept_width;
    const struct axis *axis = s->across;
    for (int x = 0; s->resize_across && x < width; x++) {
        uint8_t levels[16];
        weigh(rows, 4 * (size_t)(axis->first[x] - column), axis->weight + (size_t)x * axis->size, (axis->count[x] + 3) / 4, levels);
        for (int i = 0; i < AT_ONCE; i++) memcpy(s->lines + 4 * ((size_t)i * width + x), levels + 4 * i, 4);
    }
    for (int i = 0; i < count; i++) {
        const uint8_t *line = s->resize_across ? s->lines + 4 * (size_t)i * width : rows[i] + 4 * (size_t)(s->first_column - column);
        spread(s->rows + (size_t)(y + i - s->first_row) * 3 * width, line, width);
    }
}
