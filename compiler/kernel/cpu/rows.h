// Rows: pictures made element by element, a row of pixels at a time, and what is reduced of each of their rows while it
// is in the cache: the mean and the squares of batch norm, the sums of its gradient.
#ifndef SG_KERNEL_ROWS_H
#define SG_KERNEL_ROWS_H

#include "compiler/kernel/kernel.h"
#include "compiler/kernel/lower.h"

// The results of a group: pictures of one shape and layout, the others one value for each of their rows.
enum { ROWS_PICTURES = 8 };
typedef struct RowResults {
  int n_pictures, n_rows; // the others
  const Node *picture[ROWS_PICTURES];
} RowResults;

// Sorts the group's results by what they are beside `like`, a picture. False, with the reason in `why`, where one is
// neither, or is not stored by the same channels.
bool rows_match(const Group *group, const Node *like, RowResults *out, Text *why);
// Whether rows_put can compute all of them, `given` being a picture that is stored already, or NULL.
bool rows_can_put(const Group *group, const RowResults *rows, const Node *given, Text *why);
// Appends to `body` what computes them for the rows y0 .. y1 - 1 of block b of image n. A given picture stands where
// `given_in`, one of the pictures, is stored.
void rows_put(Lower *lower, IrStmt *body, const RowResults *rows, const Node *given, const Node *given_in, IrExpr *n,
              IrExpr *b, IrExpr *y0, IrExpr *y1);

// ---- groups of such nodes alone

// Whether the group is element-wise work on blocked pictures with at least one reduction of their rows.
bool rows_can_fuse(const Target *target, const Group *group, Text *why);
// Fills the function of lower_ir(lower) for a group that rows_can_fuse accepts.
void rows_schedule(Lower *lower);

#endif
