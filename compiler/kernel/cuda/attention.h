// Attention on CUDA: softmax(scores of queries and keys) times values as one kernel, for rows of scores that fit shared
// memory. Neither scores nor weights are stored.
#ifndef SG_KERNEL_CUDA_ATTENTION_H
#define SG_KERNEL_CUDA_ATTENTION_H

#include "compiler/kernel/lower.h"

// weights = exp(scores - max(scores)) / sum(...) over the last axis, result = weights * values.
typedef struct CudaAttention {
  const Node *product; // of queries and keys
  const Node *scores;  // the product, or an elementwise function of it
  const Node *weights, *result;
} CudaAttention;

// Whether the group is that and nothing else.
bool cuda_attention_match(const Group *group, CudaAttention *out);
void cuda_attention_schedule(Lower *lower, const CudaAttention *attention);
void cuda_attention_preamble(Text *out);

#endif
