// Micro: the C text of the shared inner loops that contraction schedules call, for one vector width and register count.
//
// Every function of the text is static and takes pitches at run time, so that a program holds each of them once
// however many kernels call it; those that none calls the host's compiler drops before it optimises.
#ifndef SG_MICRO_H
#define SG_MICRO_H

#include "compiler/target.h"
#include "runtime/base/text.h"
#include "runtime/tensor.h"

// ---- each appends one family to `out`; micro_common comes first

void micro_common(const Target *target, Text *out);    // vector types, loads, shuffles, activation
void micro_gemm(const Target *target, Text *out);      // the register tile, pixels x output blocks
void micro_conv(const Target *target, Text *out);      // the loops over it; after micro_gemm
void micro_matmul(const Target *target, Text *out);    // sg_matmul: products of plain matrices; after micro_conv
void micro_few(const Target *target, Text *out);       // sg_few_*: few output channels; after micro_conv
void micro_depthwise(const Target *target, Text *out); // sg_dw_*: rows of a depthwise convolution

void micro_resize(const Target *target, Text *out);       // sg_resize, sg_dw_blended: rows of an interpolated picture
void micro_depthwise_dx(const Target *target, Text *out); // sg_dwdx: gradient of a depthwise convolution by its input
void micro_dense_dx(const Target *target, Text *out);     // sg_dx: likewise of a dense one; after micro_conv
void micro_grad(const Target *target, Text *out);         // sg_wgrad_*, sg_dwgrad_*: weight gradients; after micro_conv
void micro_winograd_read(const Target *target, Text *out); // sg_winograd_read, within micro_winograd
void micro_winograd(const Target *target, Text *out);      // sg_winograd_*: 3x3 by tiles; after micro_conv, micro_grad
void micro_winograd_dw(Text *out);                         // sg_winograd_dw: its gradient; after micro_winograd
void micro_strassen(const Target *target, Text *out); // sg_strassen*: pointwise by seven products; after micro_conv

// ---- what the schedules and the text agree on

// Activation in registers, an argument of the micro-kernels.
enum { MICRO_LINEAR, MICRO_RELU, MICRO_LEAKY };

// The tables of integers that calls pass; pitches are in floats.
// sg_gemm(c, x, w, y, bias, residual, slope, n, g0, g1): blocks g0 .. g1 - 1 of n pixels.
enum {
  MICRO_XB,       // pitch of the channel blocks of x (of its channels, if x is plain)
  MICRO_WB,       // of the output blocks of w
  MICRO_YB,       // of the blocks of y (of its channels, if y is plain)
  MICRO_RB,       // of the residual, as y
  MICRO_ACT,      // MICRO_LINEAR ...
  MICRO_AFTER,    // the residual is added after the activation
  MICRO_CHANNELS, // channels of y if y is plain, else 0
  MICRO_BLOCK,    // pixels to pass over at once, sg_gemm
  MICRO_CHUNKS,   // number of chunks that follow, sg_gemm: offset in x, offset in w, channels
  MICRO_GEMM,     // where they begin
};
// sg_strassen(c, x, w, y, bias, slope, n, g0, g1, room): the same of blocked values, w as LAYOUT_WEIGHT_STRASSEN,
// without residual; blocks of the first half of the outputs, which stand for those of the second, too. BLOCK is a
// multiple of 16. `room` has micro_strassen_room floats. sg_strassen_weight(c, w, to, g0, g1): makes that weight from a
// plain one; c: outputs, inputs, half, number of runs and of those beyond, which follow; g0 .. g1 - 1 are blocks, or
// pairs of blocks, of half the outputs.
enum {
  MICRO_STRASSEN_HALF = 8, // input channels of a half
  MICRO_STRASSEN_OUTPUTS,  // output channels of a half
  MICRO_STRASSEN_REST,     // input channels beyond both halves
  MICRO_STRASSEN_RUNS,     // number of runs of both halves, and then of those beyond, which follow as in StrassenOrder,
  MICRO_STRASSEN_BEYOND,   // but with offsets in x
  MICRO_STRASSEN,
  MICRO_STRASSEN_SEGMENTS = 8, // most segments of x
};
// The input channels of a LAYOUT_WEIGHT_STRASSEN in the order of its elements, as runs of whole blocks: where they
// begin in the first half, where in the second, and how many. Then the `n_beyond` runs of the others, which begin at
// one channel: it stands twice.
typedef struct StrassenOrder {
  int n, n_beyond;
  int64_t run[2 * MICRO_STRASSEN_SEGMENTS][3];
} StrassenOrder;
StrassenOrder micro_strassen_order(const Layout *weight);
int64_t micro_strassen_room(const Target *target, int64_t half, int64_t block);
// sg_conv_X(c, x, w, y, bias, residual, slope, y0, y1, g0, g1, list): rows y0 .. y1 - 1; `list` has room for
// 3 * kh * kw * segments ints (3 * kh * inputs, if x is plain). X: b1, b2 (blocked x, stride 1 or 2), p1, p2
// (plain), any, pany (plain).
// sg_conv_deep(c, x, w, y, bias, slope, q0, q1, g0, g1, columns, packed, blocks, pitch, pack, list): the same for
// blocked x and y without padding and pixels q0 .. q1 - 1, counted through the rows; a few columns of the kernel at a
// time, whose x is packed for more at once. Offsets of its segments are those where blocks are `pitch` floats apart, as
// in `pack`, which has room for packed * blocks * pitch floats, `list` for 3 * columns * segments.
enum {
  MICRO_H = 8,
  MICRO_W,
  MICRO_OW,
  MICRO_KH,
  MICRO_KW,
  MICRO_STRIDE,
  MICRO_PAD,
  MICRO_DILATION,
  MICRO_ROW,      // pitch of the rows of x
  MICRO_PIXEL,    // of its pixels
  MICRO_IS_PLAIN, // x
  MICRO_Y_ROW,    // pitch of the rows of y
  MICRO_INPUTS,   // channels of x
  MICRO_SEGMENTS, // number of segments of x that follow: offset, channels
  MICRO_CONV,
};
// sg_winograd_M(c, x, u, y, bias, residual, slope, r0, r1, g0, g1, tiles): rows r0 .. r1 - 1 of tiles of M x M results,
// of output blocks g0 .. g1 - 1. Rows of tiles are counted through the d x d grids that dilation d cuts the result
// into. `tiles` has room for t * t * (TILE_PITCH + SUM_PITCH) floats, t = M + 2.
// sg_winograd_resized_M(c, row_of, row_weight, column_of, column_weight, row, x, u, ...): the same of a resized picture
// that is nowhere stored, without dilation; the tables are sg_resize's, x the picture before it, with rows `row` floats
// apart, blocks XB, and no more rows or columns than H and W.
// sg_winograd_joint_M(c, x, u, y, bias, residual, slope, g0, g1, tiles, counters), sg_winograd_joint_resized_M: all
// tiles of a picture, AT_ONCE of them, in memory that TASKS tasks share; they transform and multiply these together,
// whatever their order, and each stores blocks g0 .. g1 - 1. MICRO_WINOGRAD_COUNTERS words count, zero before and
// after.
// sg_winograd_read_M(c, x, w, y, bias, residual, slope, g0, g1, tiles, counters, own, channels),
// sg_winograd_read_resized_M (M = 4): the same by a weight as sg_conv_b1 takes it, which each task transforms for its
// own blocks, so many channels at once; `own` has micro_winograd_read_room floats.
enum {
  MICRO_WINOGRAD_H = 8,
  MICRO_WINOGRAD_W,
  MICRO_WINOGRAD_OH,
  MICRO_WINOGRAD_OW,
  MICRO_WINOGRAD_PAD,
  MICRO_WINOGRAD_DILATION,
  MICRO_WINOGRAD_TY,         // rows of tiles in a grid
  MICRO_WINOGRAD_TX,         // tiles in a row
  MICRO_WINOGRAD_AT_ONCE,    // tiles that are transformed before they are multiplied
  MICRO_WINOGRAD_TILE_PITCH, // floats between transformed elements
  MICRO_WINOGRAD_SUM_PITCH,  // floats between their sums
  MICRO_WINOGRAD_BLOCKS,     // of x
  MICRO_WINOGRAD_INPUTS,     // channels of x
  MICRO_WINOGRAD_STREAMS,    // whether results go past the caches; y then begins, as its rows do, at a whole vector
  MICRO_WINOGRAD_FETCHES,    // whether the picture is brought ahead of its tiles; without dilation
  MICRO_WINOGRAD_OUTPUTS,    // of a joint: blocks of y
  MICRO_WINOGRAD_TASKS,      // of a joint: tasks of an image
  MICRO_WINOGRAD_CHUNKS,     // number of chunks that follow: offset in a transformed element, offset in u, channels
  MICRO_WINOGRAD,
  MICRO_WINOGRAD_TILES = 96, // most that AT_ONCE may be, but of a joint
  MICRO_WINOGRAD_UNIT = 4,   // blocks that a task of a joint transforms before it asks for more
  MICRO_WINOGRAD_COUNTERS = 5,
};
// sg_winograd_weight(c, w, matrix, u, g, c0, c1, room): input channels c0 .. c1 - 1 of group g of u's output blocks (a
// block, or a pair side by side) from the plain weight w and its transform's matrix; `room` has
// micro_winograd_weight_room floats.
enum {
  MICRO_WEIGHT_INPUTS,
  MICRO_WEIGHT_ELEMENTS, // of a transformed kernel
  MICRO_WEIGHT_BLOCKS,   // of the outputs
  MICRO_WEIGHT_PAIRS,    // blocks of a group: 1 or 2
  MICRO_WEIGHT_STREAMS,  // whether u goes past the caches
  MICRO_WEIGHT,          // each block's first channel and number of channels
};
int64_t micro_winograd_weight_room(const Target *target);
int64_t micro_winograd_read_room(const Target *target, int64_t channels);
// sg_winograd_dw(c, e, x, g, x_blocks, g_blocks, q0, q1, sums, tiles): adds what tiles q0 .. q1 - 1 of an image give
// for the first blocks of x and g to `sums`, which hold for each of the 36 elements what sg_wgrad_b sums for a tap; `e`
// is its table for one element's AT_ONCE tiles. `tiles` has room for 36 * (TILE_PITCH + SUM_PITCH) floats.
// sg_winograd_dw_end(sums, x_blocks, g_blocks): these sums to those of nine taps, in place.

// sg_few_gemm(c, x, w, y, bias, slope, n, inputs, positions, pack), sg_few_conv(c, x, w, y, bias, slope, y0, y1,
// positions, pack): the tables of sg_gemm and sg_conv, for a plain result with at most half a vector of channels;
// positions = lanes of all blocks of x.

// sg_matmul(c, a, b, y, m0, m1, n0, n1, pack): rows m0 .. m1 - 1, columns n0 .. n1 - 1 of y [M, N] = a b; pack has room
// for K * (n1 - n0, rounded up to vectors, or pairs of them where target_has_pairs) + 48 * K floats.
enum { MICRO_MATMUL_M, MICRO_MATMUL_N, MICRO_MATMUL_K, MICRO_MATMUL_TA, MICRO_MATMUL_TB, MICRO_MATMUL };
// sg_dx(c, g, w, y, y0, y1, b0, b1, line, list): rows of the gradient by the input. The table begins as that of sg_gemm
// (XB: pitch of the blocks of g, WB: of w, YB: of y).
enum {
  MICRO_DX_OH = 8, // of the result of the convolution, and so of g
  MICRO_DX_OW,
  MICRO_DX_W, // of the input
  MICRO_DX_KH,
  MICRO_DX_KW,
  MICRO_DX_STRIDE,
  MICRO_DX_PAD,
  MICRO_DX_DILATION,
  MICRO_DX_ROW,         // pitch of the rows of g
  MICRO_DX_INPUTS = 20, // channels
  MICRO_DX_OUTPUTS,
  MICRO_DX_SEGMENTS, // number of segments of g that follow: offset, channels
  MICRO_DX,
};
// sg_dw_K_S(c, x, w, y, bias, slope, y0, y1): rows of one channel block; kernel K, stride S, or `any`.
enum {
  MICRO_DW_H,
  MICRO_DW_W,
  MICRO_DW_OW,
  MICRO_DW_PAD,
  MICRO_DW_ROW,
  MICRO_DW_Y_ROW,
  MICRO_DW_ACT,
  MICRO_DW_KERNEL,
  MICRO_DW_STRIDE,
  MICRO_DW_DILATION,
  MICRO_DW_OH, // sg_dwdx
  MICRO_DW,
};
// sg_dwdx(c, g, w, y, y0, y1): rows of one block of the gradient y by the input. H, W, ROW are of the input and so of
// y; OW, OH, Y_ROW of the result and so of g.

// sg_wgrad_X(c, v, s, sums, y0, y1, b0, b1, t0, t1): rows of the gradient, vector blocks, scalar tiles. X: b (s
// blocked, tiles of micro_grad_lanes channels), p8 (s plain, as many; p4 where these are 4), p3, p1 (three channels or
// one). sums: [tap][some blocks][tile]
// [lane][block among these][vector], sg_wvectors saying how many blocks come next.
// sg_join(counters, parts, group, part, n, sums, size): leaves a part of a sum; true for the last of a group's n parts,
// whose `sums` then hold the whole.
enum {
  MICRO_GRAD_H, // of x
  MICRO_GRAD_W,
  MICRO_GRAD_OW, // of the gradient
  MICRO_GRAD_KH,
  MICRO_GRAD_KW,
  MICRO_GRAD_STRIDE,
  MICRO_GRAD_PAD,
  MICRO_GRAD_DILATION,
  MICRO_GRAD_VP, // pitches of v: pixels, rows, blocks
  MICRO_GRAD_VROW,
  MICRO_GRAD_VB,
  MICRO_GRAD_SP, // pitches of s: pixels, rows, lanes, blocks (or tiles, if s is plain)
  MICRO_GRAD_SROW,
  MICRO_GRAD_SL,
  MICRO_GRAD_SB,
  MICRO_GRAD_PER_BLOCK, // scalar tiles a block
  MICRO_GRAD_X_IS_V,    // v is x and s the gradient, not the other way round
  MICRO_GRAD_INPUTS,    // channels of x
  MICRO_GRAD,
};
int micro_grad_vectors(const Target *target);
int micro_grad_lanes(const Target *target);

// Pixels of the register tile with `vectors` output vectors (1 .. micro_max_vectors).
int micro_tile_pixels(const Target *target, int vectors);
int micro_max_vectors(const Target *target);

#endif
