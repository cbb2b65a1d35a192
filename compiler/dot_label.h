// Dot labels: what stands on the boxes and edges of a picture, as Graphviz' HTML-like text. Private to compiler/.
#ifndef SG_DOT_LABEL_H
#define SG_DOT_LABEL_H

#include "compiler/graph_picture.h"

// Appends a string with &, <, > and " escaped, without bytes that XML forbids; a space if it is empty.
void dot_put_escaped(Text *out, const char *text);

// Appends "24×104×136": the shape without its first axis where that is the batch.
void dot_put_shape(Text *out, Shape shape, int64_t batch);

// The label of an op: "conv 3×3", "resize", "× weight" in bold, with details in a smaller second line.
void dot_put_node_label(Text *out, const Picture *picture, const PictureBox *box, const char *title);
// Whether the label is a sign alone, as of the sum of two drawn values.
bool dot_is_bare_sign(const Picture *picture, const Node *node);

// The label of a folded module: its path seen from the cluster around it, its name, parameters and multiply-adds.
void dot_put_module_label(Text *out, const Picture *picture, const PictureBox *box, const char *title);

// "9,636 parameters · 34.4 M multiply-adds"; nothing where both are 0.
void dot_put_costs(Text *out, int64_t parameters, int64_t multiply_adds);

#endif
