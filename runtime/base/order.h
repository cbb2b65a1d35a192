// Order: comparisons for qsort.
#ifndef SG_BASE_ORDER_H
#define SG_BASE_ORDER_H

// -1, 0 or 1; a NaN is as large as anything.
static inline int order_of(double x, double y) { return (x > y) - (x < y); }

// Of an array of doubles, the least first.
static inline int order_doubles(const void *x, const void *y) {
  return order_of(*(const double *)x, *(const double *)y);
}

#endif
