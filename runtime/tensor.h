// Tensor: shapes and storage layouts of f32 arrays.
#ifndef SG_TENSOR_H
#define SG_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

enum { MAX_RANK = 6 };

typedef struct Shape {
  int rank;
  int64_t dim[MAX_RANK];
} Shape;

int64_t shape_elements(Shape shape); // 1 for rank 0
// How many pieces of b cover a > -b.
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
bool shape_equal(Shape a, Shape b);
Shape shape_of(int rank, const int64_t *dims);
#define SHAPE(...) shape_of((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})
enum { SHAPE_TEXT = 160 };
const char *shape_text(Shape shape, char out[SHAPE_TEXT]); // "[2, 3, 64, 96]"; "[]" for rank 0

// Channels stand in segments, each padded up to a whole number of blocks: a concat keeps the segments of its inputs.
typedef struct ChannelMap {
  int n;
  const int *segment; // logical channels of each
} ChannelMap;

typedef enum LayoutKind {
  LAYOUT_PLAIN,   // row-major
  LAYOUT_BLOCKED, // (N, C, H, W) as [N][blocks of C][H][W][block]; padding lanes hold unspecified finite or not values
  LAYOUT_WEIGHT,  // (O, I, kh, kw) as [blocks of O][kh][kw][I][block]: the order of the contraction kernels, no padding
                  // in I
  LAYOUT_WEIGHT_DW,    // (C, 1, kh, kw) as [blocks of C][kh][kw][block]
  LAYOUT_WEIGHT_PAIRS, // as WEIGHT, two blocks side by side: [pairs of blocks of O][kh][kw][I][2][block]; the last may
                       // lack one
  LAYOUT_WEIGHT_STRASSEN, // (O, I, 1, 1) as the seven sums of quarters [O / 2, half, 1, 1] that Strassen's products
                          // take, each stored as WEIGHT or PAIRS, and then the rest of I, [O, I - 2 half, 1, 1],
                          // likewise; O / 2 fills its blocks, or pairs. No element stands alone.
} LayoutKind;
enum { N_LAYOUTS = LAYOUT_WEIGHT_STRASSEN + 1 };

typedef struct Layout {
  LayoutKind kind;
  int block;    // floats a block: the target's vector width
  ChannelMap c; // of axis 1 (BLOCKED) or axis 0 (weights)
  // WEIGHT_STRASSEN, else 0: input channels of a quarter, and of axis 1, as in the picture that is multiplied; both
  // halves are made of the first whole blocks of all its segments.
  int half;
  ChannelMap in;
} Layout;

int channel_blocks(const Layout *layout);                    // number of blocks along the channel axis
int channel_position(const Layout *layout, int64_t channel); // physical channel = block * layout->block + lane
bool map_equal(ChannelMap a, ChannelMap b);                  // whether channels are cut into the same segments
bool channels_equal(const Layout *a, const Layout *b);      // whether channels stand in the same blocks; false for NULL
bool layout_equal(const Layout *a, const Layout *b);        // NULL = plain
int64_t layout_elements(Shape shape, const Layout *layout); // floats to allocate, padding included
int64_t layout_offset(Shape shape, const Layout *layout,
                      const int64_t *index); // of one logical element, if it stands alone

// Copies between layouts, element by element; padding lanes of `to` become 0.
void layout_convert(Shape shape, const Layout *from, const float *src, const Layout *to, float *dst);

#endif
