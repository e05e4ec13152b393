/* Reads whole files and hashes them, many in one call. From Python each system call gives the interpreter's lock away and takes it back;
 * while other threads want it too, that costs more than small files do.
 */
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sha256.h"

/* The hash of the OpenSSL that Python's hashlib uses: EVP_Digest, and SHA-256 as it names it; and whether several rows may go side by side. */
struct hashing {
    int (*digest)(const void *data, size_t size, unsigned char *out, unsigned int *out_size, const void *type, void *engine);
    const void *type;
    int has_lanes;
};

/* One file: its hash, what the system says of it, the bytes that were read (one more than were wanted shows that it is too long), and the
 * system's error number, or 0. */
struct found {
    uint8_t sha256[32];
    int64_t size, mtime_ns, inode, got, error;
};

/* Read up to `wanted` bytes into `row`, and one more elsewhere. */
static int64_t read_row(int descriptor, uint8_t *row, size_t wanted, struct found *found) {
    uint8_t beyond;
    size_t got = 0;
    do {
        struct iovec parts[2] = {{row + got, wanted - got}, {&beyond, 1}};
        const ssize_t more = readv(descriptor, parts, 2);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) found->error = errno;
        if (more <= 0) break;
        got += (size_t)more;
    } while (got < wanted);
    return (int64_t)got;
}

/* Read a file into its row; whether it was there and of the wanted size. */
static int read_file(int folder, const char *path, uint8_t *row, size_t wanted, struct found *found) {
    struct stat status;
    int descriptor;
    do {
        descriptor = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe must not make us wait */
    } while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0 || fstat(descriptor, &status)) {
        found->error = errno;
        if (descriptor >= 0) close(descriptor);
        return 0;
    }
    found->size = status.st_size;
    found->mtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    found->inode = (int64_t)status.st_ino;
    found->got = read_row(descriptor, row, wanted, found);
    close(descriptor);
    return !found->error && found->got == (int64_t)wanted;
}

/* Hash some rows, at most LANES. */
static void hash_rows(const uint8_t *rows, size_t count, size_t size, const struct hashing *hash, struct found *found) {
    if (count > 1 && hash->has_lanes) {
        const uint8_t *lanes[LANES];
        uint8_t *digests[LANES], unused[32];
        for (size_t i = 0; i < LANES; i++) {
            lanes[i] = rows + (i < count ? i : 0) * size;
            digests[i] = i < count ? found[i].sha256 : unused;
        }
        sha256_lanes(lanes, size, digests);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (!hash->digest(rows + i * size, size, found[i].sha256, NULL, hash->type, NULL)) found[i].error = EIO;
}

/* Read `count` files into the rows of an array, `wanted` bytes each; their paths follow each other, each with a zero at its end, and are looked
 * up in the open `folder` (-1: the working directory). `hash` is NULL where nobody asks for their hashes. Stops behind the first file that has
 * an error or another size. */
void portproof_read_files(int folder, const char *path, size_t count, uint8_t *rows, size_t wanted, const struct hashing *hash,
                          struct found *found) {
    memset(found, 0, count * sizeof *found);
    size_t read = 0;
    for (size_t first = 0; first < count && read == first; first += LANES) {
        for (; read < count && read < first + LANES; read++, path += strlen(path) + 1)
            if (!read_file(folder < 0 ? AT_FDCWD : folder, path, rows + read * wanted, wanted, found + read)) break;
        if (hash) hash_rows(rows + first * wanted, read - first, wanted, hash, found + first);
    }
}

/* For the caller's check that both sides mean the same structure. */
size_t portproof_found_size(void) { return sizeof(struct found); }
