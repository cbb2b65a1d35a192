// What the schedules of contractions share: operands as the micro-kernels take them, sizes of tasks, epilogues.
#ifndef SG_SCHEDULE_CONV_H
#define SG_SCHEDULE_CONV_H

#include "compiler/kernel/cpu/contract_match.h"
#include "compiler/kernel/lower.h"

// Multiply-adds that are worth a task of their own: about 30 us.
enum { TASK_WORK = 1500000 };

// One kernel being scheduled.
typedef struct Schedule {
  Lower *lower;
  Ir *ir;
  Contract contract;
  IrStmt *body; // of one task
  int vl;       // floats a vector
} Schedule;

// A run of the output that a task computes: image n, rows (or pixels) y0 .. y1 - 1, blocks b0 .. b1 - 1.
typedef struct Region {
  IrExpr *n, *y0, *y1, *b0, *b1;
  int64_t rows; // y1 is at most so many further than y0; set for depthwise stages
} Region;

void schedule_pointwise(Schedule *schedule); // CONTRACT_POINTWISE, with or without a depthwise lead
void schedule_dense(Schedule *schedule);
void schedule_winograd(Schedule *schedule);
void schedule_depthwise(Schedule *schedule);
void schedule_depthwise_dx(Schedule *schedule);   // CONTRACT_DX
void schedule_dense_dx(Schedule *schedule);       // CONTRACT_DX_DENSE
void schedule_grad_dense(Schedule *schedule);     // CONTRACT_DW_DENSE
void schedule_grad_depthwise(Schedule *schedule); // CONTRACT_DW_DEPTHWISE
void schedule_grad_winograd(Schedule *schedule);  // CONTRACT_DW_WINOGRAD
void schedule_matmul(Schedule *schedule);

// ---- pointwise products

// Some pixels of a pointwise convolution: addresses of the first one's channels.
typedef struct Pixels {
  const Layout *layout;   // channels of x
  int64_t pitch, y_pitch; // floats between the blocks of x and y; y_pitch 0: as the result is stored
  IrExpr *x, *y, *bias, *residual, *count, *b0, *b1;
} Pixels;
void put_gemm(Schedule *schedule, IrStmt *body, const Pixels *pixels);
// Whether the weight is stored for Strassen's products; these take blocks b0 / 2 .. b1 / 2 - 1 of either half of the
// result, about `block` pixels at once.
bool has_strassen(const Schedule *schedule);
void put_strassen(Schedule *schedule, IrStmt *body, const Pixels *pixels, int64_t block);

// The product over the rows of a region by stretches whose channels stay in the cache, and what reduces the channels of
// each pixel. `x` holds the first pixel at offset `at`, blocks `pitch` floats apart.
void put_pixels(Schedule *schedule, const Region *region, const Layout *layout, int64_t pitch, const IrBuffer *x,
                IrExpr *at);

// ---- operands

int64_t height_of(const Node *node);
int64_t width_of(const Node *node);
// Channel blocks of the value; of a plain one, the vectors that its channels fill.
int64_t blocks_of(const Schedule *schedule, const Node *node);
// The address of offset `at` (NULL = 0) in image `n` of a value among the group's ins or outs.
IrExpr *image_of(const Schedule *schedule, const Node *node, IrExpr *n, IrExpr *at);
IrExpr *weight_of(const Schedule *schedule, const Node *node, IrExpr *at);
// The stage's bias as whole blocks, or a null address. Plain ones are spread over blocks first, in scratch.
IrExpr *bias_of(Schedule *schedule, const ContractStage *stage);
IrExpr *no_address(const Schedule *schedule);
// The logical channel of each of `n` physical lanes of the value, -1 in padding, as the address of a table.
IrExpr *lane_map(const Schedule *schedule, const char *name, const Node *node, int64_t n);
// A blocked value's channels as runs, two integers each: the offset of the first, where blocks are block_pitch floats
// apart, and the number. Returns how many integers.
int put_segments(const Schedule *schedule, const Layout *layout, int64_t block_pitch, int64_t *out);
// The same as chunks of a pointwise sum, three integers each: offset, offset of the weights, number of channels.
void put_chunks(const Schedule *schedule, const Layout *layout, int64_t block_pitch, int64_t *out);
// The address of a table of integers.
IrExpr *numbers(const Schedule *schedule, const char *name, const int64_t *value, int n);

// The numbers that the tables of sg_gemm, sg_conv and sg_winograd begin with, but for MICRO_XB.
void stage_numbers(const Schedule *schedule, int64_t *c);

// ---- tasks

// The buffer of a value among the group's outs or ins.
const IrBuffer *buffer_of(const Schedule *schedule, const Node *node);

// Splits `extent` into pieces of `size`: task index i covers begin .. end.
void piece(Ir *ir, IrExpr *i, int64_t size, int64_t extent, IrExpr **begin, IrExpr **end);
// A size no larger, with which as many pieces cover the extent more evenly.
int64_t even_pieces(int64_t extent, int64_t size);
// How long 2 workers are busy with so many equal tasks, and 8 ones, idle ones too.
int64_t worker_turns(int64_t tasks);
// Into how many pieces an extent is cut, `others` times: those of `size`, or up to half as many more where workers are
// idle for less time then.
int64_t shared_pieces(int64_t extent, int64_t size, int64_t others);
// Piece i of so many covers begin .. end, none more than one longer than another.
void share(Ir *ir, IrExpr *i, int64_t pieces, int64_t extent, IrExpr **begin, IrExpr **end);
// How many of `blocks` output blocks a task takes, when there are `others` tasks already of `work` multiply-adds each:
// an even number where weights stand in pairs.
int64_t part_of_blocks(const Schedule *schedule, int64_t others, int64_t work, int64_t blocks);

// Sums over pixels in parts, each a task of its own: where there are too few sums for as many tasks as a machine has
// workers. Part i of `n` adds up images n0 .. n1 - 1, of each the units u0 .. u1 - 1 (rows or tiles) of `units`.
typedef struct Parts {
  int64_t n, images, size; // of a part: images, units
} Parts;
// At least `wanted` parts if units of all images are enough for them, `least` units each.
Parts parts_of(int64_t images, int64_t units, int64_t wanted, int64_t least);
// The most parts, up to `wanted`, that may be asked of parts_of for `groups` sums of `size` floats each: as many groups
// as there are counters, and no more than programs may share (runtime/program.c).
int64_t parts_most(int64_t groups, int64_t size, int64_t wanted);
void part_range(Ir *ir, const Parts *parts, IrExpr *part, int64_t images, int64_t units, IrExpr *range[4]);
// Appends what leaves the task's part of `size` floats with those of its group; returns the block in which `sums` hold
// the whole. That is the task's itself if there is but one part.
IrStmt *join_parts(Schedule *schedule, const Parts *parts, IrExpr *group, int64_t groups, IrExpr *part, IrExpr *sums,
                   int64_t size);

// Appends to the task what computes the region of a depthwise stage. `bias` is that of all blocks (bias_of). Row 0 of
// block 0 of the result is at `at` in `to`, and blocks are `pitch` floats apart.
void put_depthwise(Schedule *schedule, const ContractStage *stage, IrExpr *bias, const Region *region,
                   const IrBuffer *to, IrExpr *at, int64_t pitch);

// Tables of one axis of a resize: two source positions for each position, and, if `out_weights` is given, the weight of
// the second.
void resize_tables(Schedule *schedule, const Node *resize, int axis, IrExpr **out_taps, IrExpr **out_weights);
// Resized parts of a depthwise stage's operand: scratch for the rows that a region reads of one block.
typedef struct Resizer Resizer;
Resizer *resizer_new(Schedule *schedule, const Node *depthwise, int64_t rows);
// Whether the convolution's micro-kernel, sg_dw_blended, blends rows by itself.
bool resizer_blends(const Resizer *resizer);
// What sg_dw_blended takes between its numbers and the weights, for the source's plane at `from`.
enum { BLEND_ARGS = 7 };
void blend_args(Schedule *schedule, const Resizer *resizer, const FrontPart *part, IrExpr *from, IrExpr **out);
// Else: appends to `body` the call that computes rows begin .. end - 1 of a block from the source's plane at `from`;
// returns the address where row 0 would be.
IrExpr *put_resize(Schedule *schedule, const Resizer *resizer, IrStmt *body, const FrontPart *part, IrExpr *from,
                   IrExpr *begin, IrExpr *end);

// Appends what computes what follows core.top over a region just stored by the micro-kernel: element by element, then
// what is reduced of whole rows.
void schedule_rest(Schedule *schedule, IrStmt *body, const Region *region);

#endif
