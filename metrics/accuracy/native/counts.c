/* Counts the classes that are not below the label's, and those that equal it: numpy needs two passes for each, and memory for what it compares. */
#include <stddef.h>
#include <stdint.h>

/* `own[i]` is the label's value in row i. A value that is not a number is counted in neither, as numpy has it. */
void portproof_count(const float *row, size_t rows, size_t classes, const float *own, int64_t *not_below, int64_t *equal) {
    for (size_t i = 0; i < rows; i++, row += classes) {
        uint32_t reaching = 0, same = 0;
        for (size_t c = 0; c < classes; c++) {
            reaching += row[c] >= own[i];
            same += row[c] == own[i];
        }
        not_below[i] = reaching;
        equal[i] = same;
    }
}
