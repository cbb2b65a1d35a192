// Contract match: what a group around a contraction computes, in the terms of the micro-kernels. Private to the
// contraction schedules.
#ifndef SG_CONTRACT_MATCH_H
#define SG_CONTRACT_MATCH_H

#include "compiler/kernel/cpu/rows.h"
#include "compiler/kernel/kernel.h"

typedef enum ContractForm {
  CONTRACT_POINTWISE, // conv2d 1x1, stride 1, no padding, x blocked
  CONTRACT_DENSE,     // other conv2d with groups 1
  CONTRACT_WINOGRAD,  // conv2d_winograd
  CONTRACT_DEPTHWISE, // conv2d, groups = C
  CONTRACT_DX,        // conv2d_dx, groups = C
  CONTRACT_DX_DENSE,  // conv2d_dx, groups 1
  CONTRACT_DW_DENSE,  // conv2d_dw with groups 1
  CONTRACT_DW_DEPTHWISE,
  CONTRACT_DW_WINOGRAD, // conv2d_dw_winograd
  CONTRACT_MATMUL,
} ContractForm;

// A contraction and the nodes that its micro-kernel computes in registers before it stores.
typedef struct ContractStage {
  const Node *node;     // the contraction
  const Node *bias;     // per channel, or NULL
  const Node *residual; // of the result's shape, or NULL
  bool add_after;       // the residual is added after the activation
  int act;              // MICRO_LINEAR ... of micro.h
  double slope;
  const Node *top; // the node whose value is stored
} ContractStage;

// What a convolution reads, where that is not one stored value: a resize, or for a depthwise one a concat of stored and
// resized values, none of which is ever stored whole.
enum { FRONT_PARTS = 8 };
typedef struct FrontPart {
  const Node *source; // stored
  const Node *resize; // NULL: the source itself is the part
  int64_t first, blocks;
} FrontPart;
typedef struct Front {
  int n; // 0: the convolution reads its operand from memory
  FrontPart part[FRONT_PARTS];
} Front;

typedef struct Contract {
  const Target *target;
  const Group *group;
  ContractForm form;
  ContractStage core;
  bool has_lead; // a depthwise convolution whose value is core's x, computed tile by tile in scratch
  ContractStage lead;
  const Node *made;   // core's x, where it is computed element by element, tile by tile in scratch; or NULL
  Front front;        // of the depthwise convolution, be it lead or core, or of the one by tiles
  const Node *result; // the out whose buffer takes core.top
  bool has_rest;      // more is computed from core.top, tile by tile: element by element, then of rows of its pixels
  RowResults rows;    // results, where channels are not reduced
  bool has_pixels;    // the channels of each pixel of core.top are reduced: it is not stored, and `result` NULL
} Contract;

// Recognises the group, or returns false and appends the reason to `why` (if not NULL).
bool contract_match(const Target *target, const Group *group, Contract *out, Text *why);

// The form of one contraction, or false and the reason likewise (contract_node.c).
bool contract_match_node(const Target *target, const Node *node, ContractForm *form, Text *why);

#endif
