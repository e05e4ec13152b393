/* SHA-256 (FIPS 180-4) by the SHA extensions of x86, in the order of instructions of Gulley et al., "Intel SHA Extensions" (2013), for four rows
 * side by side. An instruction for two rounds waits for the one before, so that one row alone, which is all that OpenSSL takes, leaves the
 * processor idle for most of the time. Four rows take 1.6 times as long as one.
 */
#include "sha256.h"

#include <string.h>

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>

enum { BLOCK = 64, DIGEST = 32 };

/* The eight words of a row's state as the instructions want them: A B E F and C D G H, from the highest down. */
struct state {
    __m128i abef, cdgh;
};

static const uint32_t ROUNDS[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

int sha256_has_lanes(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* Take `count` blocks of each row into its state. */
__attribute__((target("sha,sse4.1"))) static void take(struct state states[LANES], const uint8_t *const rows[LANES], size_t count) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i abef[LANES], cdgh[LANES], words[LANES][4];
    for (int l = 0; l < LANES; l++) abef[l] = states[l].abef, cdgh[l] = states[l].cdgh;
    for (size_t block = 0; block < count; block++) {
        for (int l = 0; l < LANES; l++)
            for (int i = 0; i < 4; i++)
                words[l][i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(rows[l] + BLOCK * block) + i), big_endian);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
#pragma GCC unroll 4
            for (int l = 0; l < LANES; l++) {
                __m128i *const own = words[l], next = own[(i + 3) & 3];
                const __m128i sum = _mm_add_epi32(own[i & 3], _mm_load_si128((const __m128i *)ROUNDS + i));
                cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], sum);
                abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32(sum, 0x0e));
                if (i < 12) {
                    const __m128i part = _mm_sha256msg1_epu32(own[i & 3], own[(i + 1) & 3]);
                    own[i & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(part, _mm_alignr_epi8(next, own[(i + 2) & 3], 4)), next);
                }
            }
        }
        for (int l = 0; l < LANES; l++) {
            states[l].abef = abef[l] = _mm_add_epi32(abef[l], states[l].abef);
            states[l].cdgh = cdgh[l] = _mm_add_epi32(cdgh[l], states[l].cdgh);
        }
    }
}

__attribute__((target("sha,sse4.1"))) void sha256_lanes(const uint8_t *const rows[LANES], size_t size, uint8_t *const digests[LANES]) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    const size_t whole = size / BLOCK, rest = size % BLOCK, ends = rest < BLOCK - 8 ? 1 : 2;
    struct state states[LANES];
    uint8_t end[LANES][2 * BLOCK] = {{0}};
    const uint8_t *at[LANES];
    for (int l = 0; l < LANES; l++) {
        states[l].abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
        states[l].cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
        memcpy(end[l], rows[l] + BLOCK * whole, rest);
        end[l][rest] = 0x80;
        for (int i = 0; i < 8; i++) end[l][BLOCK * ends - 1 - i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
        at[l] = end[l];
    }
    take(states, rows, whole);
    take(states, at, ends);
    for (int l = 0; l < LANES; l++) {
        const __m128i feba = _mm_shuffle_epi32(states[l].abef, 0x1b), dchg = _mm_shuffle_epi32(states[l].cdgh, 0xb1);
        __m128i *const out = (__m128i *)digests[l];
        _mm_storeu_si128(out, _mm_shuffle_epi8(_mm_blend_epi16(feba, dchg, 0xf0), big_endian));
        _mm_storeu_si128(out + 1, _mm_shuffle_epi8(_mm_alignr_epi8(dchg, feba, 8), big_endian));
    }
}

#else

int sha256_has_lanes(void) { return 0; }

void sha256_lanes(const uint8_t *const rows[LANES], size_t size, uint8_t *const digests[LANES]) { (void)rows, (void)size, (void)digests; }

#endif
