// Result files of the golden harness: value tables.
#include <math.h>
#include <stdlib.h>

#include "runtime/base/file.h"
#include "tests/golden/golden.h"

struct TsvFile {
  char letter;
  Text rows;
  double norm2;
};

TsvFile *golden_tsv_new(char letter) {
  TsvFile *tsv = calloc(1, sizeof *tsv);
  if (!tsv) BUG("out of memory");
  tsv->letter = letter;
  return tsv;
}

void golden_tsv_row(TsvFile *tsv, const char *name, int64_t n, const float *values) {
  double norm2 = 0, sum = 0;
  for (int64_t i = 0; i < n; i++) {
    norm2 += (double)values[i] * values[i];
    sum += values[i];
  }
  tsv->norm2 += norm2;
  text_printf(&tsv->rows, "%s\t%lld\t%.9e\t%.9e", name, (long long)n, sqrt(norm2), sum);
  for (int i = 0; i < 8; i++) {
    if (i < n) text_printf(&tsv->rows, "\t%.9e", values[i]);
    else text_put(&tsv->rows, "\t-");
  }
  text_put(&tsv->rows, "\n");
}

Status golden_tsv_save(TsvFile *tsv, const char *path, bool with_norm) {
  Text all = {0};
  if (with_norm) text_printf(&all, "# global gradient L2 norm\t%.9e\n", sqrt(tsv->norm2));
  text_put(&all, "name\tnumel\tl2\tsum");
  for (int i = 0; i < 8; i++) text_printf(&all, "\t%c%d", tsv->letter, i);
  text_put(&all, "\n");
  text_write(&all, text_get(&tsv->rows), tsv->rows.size);
  Status status = file_write(path, all.data, all.size);
  text_free(&all);
  text_free(&tsv->rows);
  free(tsv);
  return status;
}
