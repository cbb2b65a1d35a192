// Pairs: which picture goes with which depth map, as folders, lists, CSV files and manifests say it.
#ifndef SG_DATA_PAIRS_H
#define SG_DATA_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/hash.h"
#include "runtime/base/text.h"
#include "runtime/data/dataset.h"

// What a pair is for. Held-out validation pairs are never test pairs.
typedef enum Split { SPLIT_NONE, SPLIT_TRAIN, SPLIT_VALIDATION, SPLIT_TEST } Split;
const char *split_name(Split split); // "", "train", "val", "test"
// Understands these, "validation" and "valid"; false for another name.
bool split_find(const char *name, Split *out);

typedef struct Pair {
  char *name;            // what messages call it: the picture's path below the root, or its name in a folder
  char *picture, *depth; // paths that open
  char *group; // the scene it was taken in, which is never split between training and validation; "" = unknown
  Split split;
  // Of a manifest; elsewhere -1 and "".
  int64_t picture_bytes, depth_bytes;
  char picture_hash[HASH_TEXT], depth_hash[HASH_TEXT];
} Pair;

// Zero-initialise it; pairs_free ends it.
typedef struct Pairs {
  const char *kind; // "folder", "list", "CSV", "manifest", "NYU folders"
  char *path;       // as it was asked for
  char *root;       // the directory that relative paths of lists begin at
  Pair *pair;
  int64_t n, capacity;
  int64_t n_unpaired;   // pictures that have no depth map, or none that is named
  double depth_scale;   // values a metre that hold for every file; 0 = each file declares its own
  double default_scale; // values a metre of files that declare none; 0 = such a file is refused
} Pairs;

void pairs_free(Pairs *pairs);
// Appends a pair with copies of the texts and returns it, lent until the next is added.
Pair *pairs_add(Pairs *pairs, const char *name, const char *picture, const char *depth, const char *group, Split split);

// Reads whatever `path` is:
//   a directory with dataset.json     the manifest that `sgrun data init` and `import` write
//   a directory with train.csv        the lists that `sgrun data split` writes, with val.csv and test.csv if there
//   a directory with rgb/ or images/ and depth/: pairs of one name without extension, in the order of their names
//   a directory of the NYU layout     sync/<scene>/rgb_N.jpg + sync_depth_N.png (training), official_splits/test/...
//                                     (test), or the scenes of either alone
//   a JSON file                       a manifest
//   a CSV file                        columns rgb, depth and, if they are there, split and group, named by a header or
//                                     in this order; '# depth_scale=1000' in a comment states the unit
//   a text file                       lines 'rgb_path depth_path focal', the focal length being optional; a leading
//                                     '/' is dropped; depths are millimetres unless the files declare something else
// Relative paths begin at `root` or, if that is NULL, at the directory that the file is in. `depth_scale` above 0 is
// the user's word on the unit. EXIT_DATA if it is none of these, or has no pairs; messages name file and line.
Status pairs_open(const char *path, const char *root, double depth_scale, Pairs *out);
// The same, but a manifest in a directory is not looked at: to write it anew.
Status pairs_open_layout(const char *path, const char *root, double depth_scale, Pairs *out);

// Gives every pair a split. Those without one are for training. If none is for validation, a tenth of the training
// pairs is held out: every tenth scene if ten scenes or more are known, so that no room is on both sides, else every
// tenth pair, and at least one. Test pairs stay test pairs.
void pairs_hold_out(Pairs *pairs);

// Keeps the pairs of one split; SPLIT_NONE keeps all.
void pairs_keep(Pairs *pairs, Split split);

// Drops pairs with a file that is missing, empty, neither PNG nor JPEG by its first bytes, or not of the size that the
// manifest says, which costs two opened files each and no decoding. Returns how many; the messages of the first
// PAIRS_MESSAGES are put into `out`, one a line.
enum { PAIRS_MESSAGES = 3 };
int64_t pairs_drop_missing(Pairs *pairs, Text *out);

// EXIT_DATA with a guess if neither the pairs nor the first depth maps themselves say how many values make a metre.
Status pairs_check_unit(const Pairs *pairs);

// Reads one pair, checking that picture and depth map are of one size. EXIT_DATA naming the file.
Status pairs_sample(const Pairs *pairs, int64_t index, Sample *out);

// A data set of the pairs, which it takes over (*pairs becomes {0}). EXIT_DATA if there are none.
Status dataset_open_pairs(Pairs *pairs, Dataset **out);

// Writes the manifest: unit, and for every pair its paths (relative to the manifest where they are below it), sizes in
// bytes, content hashes, split and group. Hashes are computed by `threads` threads. EXIT_DATA for a file that cannot be
// read.
Status pairs_write_manifest(const Pairs *pairs, const char *path, int threads);

// Writes the pairs of one split as CSV, paths relative to the CSV file.
Status pairs_write_csv(const Pairs *pairs, Split split, const char *path);

// ---- between the files of this part

// The readers of the single kinds; `out` has kind, path and root already.
Status pairs_read_folder(const char *directory, Pairs *out);
Status pairs_read_nyu(const char *directory, Pairs *out);
Status pairs_read_list(const char *path, const char *text, Pairs *out);
Status pairs_read_csv(const char *path, const char *text, Split split, Pairs *out);
Status pairs_read_manifest(const char *path, const char *text, Pairs *out);

// root/path, or path alone where it is absolute; the caller's to free.
char *path_under(const char *root, const char *path);
// The path of an existing file as seen from an existing directory; absolute if they share nothing but "/".
char *path_relative(const char *directory, const char *path);
char *path_directory(const char *path); // "." for a bare name

#endif
