/* SHA-256 of several rows of one size at a time. */
#ifndef PORTPROOF_SHA256_H
#define PORTPROOF_SHA256_H

#include <stddef.h>
#include <stdint.h>

/* How many rows are hashed side by side. */
enum { LANES = 4 };

/* Whether this processor can: it has the SHA extensions of x86. */
int sha256_has_lanes(void);

/* The digests (32 bytes each) of LANES rows of `size` bytes. */
void sha256_lanes(const uint8_t *const rows[LANES], size_t size, uint8_t *const digests[LANES]);

#endif
