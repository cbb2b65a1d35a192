// Layout: what the layout pass is made of, for its own files and for tests.
#ifndef SG_PASS_LAYOUT_H
#define SG_PASS_LAYOUT_H

#include "compiler/graph.h"

// How a convolution (conv2d, conv2d_dx, conv2d_dw) takes its channels.
typedef enum ConvKind {
  CONV_DENSE,     // one group
  CONV_DEPTHWISE, // as many groups as channels, one filter each
  CONV_GROUPED,   // in between: computed on plain values only
} ConvKind;
ConvKind conv_kind(const Node *node);

// The analysis: which values share a channel map, and which map.
typedef struct LayoutClasses LayoutClasses;

// `block` is the target's vector width. The result lives in `arena` and knows the nodes present now.
LayoutClasses *layout_classes_find(const Graph *graph, int block, Arena *arena);

// The layout that the node's value should have: blocked, or NULL for plain. Equal maps give equal pointers.
const Layout *layout_class(const LayoutClasses *classes, const Node *node);

// How many inputs of a concat along the channels, from k + 1 on, are stored in the lanes of input k's last block that
// have no channel: plain ones that fill them exactly. A value of 28 channels leaves room for a residual and a picture.
int layout_fillers(const LayoutClasses *classes, const Node *concat, int k);

// The layout of channels start .. stop - 1 of a blocked layout; NULL if they do not begin and end at segments.
const Layout *layout_range(Arena *arena, const Layout *layout, int64_t start, int64_t stop);

// A layout of the given kind with the segments given, or with one segment of `channels`.
const Layout *layout_make(Arena *arena, LayoutKind kind, int block, ChannelMap map);
const Layout *layout_single(Arena *arena, LayoutKind kind, int block, int64_t channels);

// Padded 1x1 convolutions become unpadded ones whose results are padded. Returns whether there were any.
bool layout_unpad_pointwise(Graph *graph);

// Large reductions to few results become two, the first of them with results enough for many threads. `block` is the
// target's vector width. Returns whether there were any.
bool layout_split_reductions(Graph *graph, int block);

// Sums of whole products become sums of flat ones, whose results can stand in a concat of numbers. Returns whether
// there were any.
bool layout_flatten_sums(Graph *graph);

// Marks values that need no computing because their elements already stand in another value's storage, in the right
// order: reshapes of plain values, relayouts that change no byte, slices on block borders. node->into becomes that
// value. With gaps: slices of the channels of plain pictures too, whose images are as far apart as the pictures'.
// Returns how many.
int layout_mark_views(Graph *graph, bool with_gaps);

// Whether every node's operands and result have layouts that some kernel takes (the rules are listed in
// layout_check.c). Appends what is broken to `why`.
bool layout_check(const Graph *graph, Text *why);

#endif
