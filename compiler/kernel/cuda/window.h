// Windows of pictures in shared memory: what a block's results of a depthwise convolution read, brought there once, by
// whole rows, whatever the stride. An element that is computed where it is read (resized, say) is so computed once a
// block, not once a tap.
#ifndef SG_CUDA_WINDOW_H
#define SG_CUDA_WINDOW_H

#include "compiler/kernel/lower.h"

// Results of a block: th x tw of each of tp planes (a plane is a channel of an image), a thread's being `rows` of a
// column.
typedef struct CudaWindow {
  const Node *conv; // depthwise
  int tp, th, tw, rows;
  int threads;
} CudaWindow;

// The window with the least time by a model of instructions and idle threads; price: operations for an element of the
// convolution's operand.
CudaWindow cuda_choose_window(const Target *target, const Node *conv, int64_t price);
// The same for tiles of `pixels` pixels in which a product of matrices takes them, tp channels of one image at a time.
CudaWindow cuda_choose_patch(const Node *conv, int pixels, int tp, int threads);
// Its type in the templates.
const char *cuda_window_name(const CudaWindow *window, Arena *arena);
int cuda_window_floats(const CudaWindow *window);
// Operations for a result where bringing an element takes `price`.
int64_t cuda_window_price(const CudaWindow *window, int64_t price);
// How often a thread waits for memory while a window is brought by values.
int64_t cuda_window_trips(const CudaWindow *window);
// How often each element of the operand that is needed at all is brought to shared memory.
double cuda_window_overlap(const CudaWindow *window);

// Where a block's results begin; planes count from `plane` to below `end`.
typedef struct CudaCorner {
  IrExpr *plane, *end, *y, *x;
} CudaCorner;
// Where planes are brought some at a time: `var` is the first of them, and part of the corner.
typedef struct CudaSteps {
  IrVar *var;
  IrExpr *begin, *end;
} CudaSteps;
// Says of source(n, c, y, x) and weight(c, tap) how they are called; steps NULL: once.
void cuda_window_count(Ir *ir, IrStmt *source, IrStmt *weight, const CudaWindow *window, const CudaCorner *corner,
                       const CudaSteps *steps, IrExpr *thread);
// Parameters of a local function, and the place in an operand that they name: a pixel of a value of that shape (n, c,
// y, x), and a tap of a depthwise convolution's weight (c, tap), numbered row by row.
void cuda_pixel(Ir *ir, Shape shape, IrVar *params[4], IrExpr *index[4]);
void cuda_tap(Ir *ir, Shape weight, IrVar *params[2], IrExpr *index[4]);
// Append to the kernel's body a local function: `name`(n, c, y, x) for the value of a node,
IrStmt *cuda_put_picture(Lower *lower, const char *name, const Node *node);
// source(n, c, y, x) as windows bring it, an address where the node's values are in memory, else the value,
IrStmt *cuda_put_window_source(Lower *lower, const Node *node);
// and weight(c, tap) for that of the convolution's weight.
IrStmt *cuda_put_taps(Lower *lower, const Node *weight);
void cuda_preamble_window(Text *out);

#endif
