// Pictures a second of the loader on a folder of pairs: bench_loader DIR WORKERS BATCHES.
// Batches of 8 at 416x544, augment nyu, nothing kept in memory. Prints one line of JSON.
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/data/loader.h"
#include "runtime/data/pairs.h"

enum { BATCH = 8, WARM_UP = 4 };

static void must(Status status) {
  if (!status) return;
  fprintf(stderr, "bench_loader: %s\n", status_message(status));
  exit(status_code(status));
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: bench_loader DIR WORKERS BATCHES\n");
    return EXIT_USAGE;
  }
  int batches = atoi(argv[3]);
  Pairs pairs;
  Dataset *dataset;
  Loader *loader;
  must(pairs_open(argv[1], NULL, 0, &pairs));
  must(dataset_open_pairs(&pairs, &dataset));
  LoaderOptions options = {.batch = BATCH,
                           .width = 544,
                           .height = 416,
                           .workers = atoi(argv[2]),
                           .seed = 1,
                           .augment = AUGMENT_NYU,
                           .is_shuffled = true,
                           .drops_last = true};
  must(loader_open(dataset, &options, &loader));
  Batch batch;
  double begin = 0;
  for (int i = 0; i < WARM_UP + batches; i++) {
    if (i == WARM_UP) begin = clock_seconds();
    must(loader_next(loader, &batch));
  }
  double seconds = clock_seconds() - begin;
  printf("{\"pictures_per_second\":%.2f}\n", BATCH * batches / seconds);
  loader_close(loader);
  dataset_close(dataset);
  return 0;
}
