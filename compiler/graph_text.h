// Graph text: words that the printer and the parser of graph text share. Private to compiler/.
#ifndef SG_GRAPH_TEXT_H
#define SG_GRAPH_TEXT_H

#include "compiler/graph.h"

// The form, one line each; what stands in [ ] is left out where it says nothing:
//
//   graph NAME [scheduled]
//   module 1 NAME "instance.path" parent 0 [at PLACE]
//   %0 = input "rgb" : [1, 3, 64, 96] [MARKS]
//   %1 = param "w" init=uniform(-0.1, 0.1) : [16, 3, 3, 3]     init: constant(a), uniform(a, b), normal(a, b)
//   %2 = state "n" init=constant(0) i64 : []             (also `frozen` behind the init: not trained)
//   %3 = constant {0x1p+0, 0x1.8p+1} : [2]
//   %4 = conv2d(%0, %1) [stride=2 padding=1] : [1, 16, 32, 48] [MARKS]
//   output "depth" = %4
//   tap "f2" = %4
//   update %2 = %5
//
// MARKS, in this order: module=1 at "file":line:column:length layout=blocked8(16) group=3 into=%9+2 again setup
// name="x". PLACE is "file":line:column:length. Layouts are blocked, weight, depthwise, pairs and strassen, with the
// block's size and the channels of each segment, behind them for the last one `half`, the input channels of a quarter,
// `of` and those of each segment. Attributes that equal their defaults are left out. Names are bare words or quoted.
// The parser also takes `#` comments, any word after %, and operations without their shape, which it infers.

// Indexed by InitKind, and the number of arguments of each.
extern const char *const graph_init_names[3];
extern const int graph_init_arguments[3];
// Indexed by LayoutKind.
extern const char *const graph_layout_names[N_LAYOUTS];

// Whether the text is a word of letters, digits, '_', '.' and '-', not starting with a digit: printed without quotes.
bool graph_is_word(const char *text);

#endif
