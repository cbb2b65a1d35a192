// File: whole files in, whole files out, never half of one.
#ifndef SG_BASE_FILE_H
#define SG_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/status.h"
#include "runtime/base/text.h"

// Appends the file's bytes to `out`. Errors name the path and the reason (EXIT_DATA).
Status file_read(const char *path, Text *out);

// Writes beside `path`, syncs, and renames over it: the old file or the new one is there, never half of one.
// A full disk or an unwritable place is an EXIT_DATA error, and the temporary file is removed. Devices and pipes are
// written to, not replaced.
Status file_write(const char *path, const void *data, size_t size);

// An open temporary file beside its final path, for writers that stream.
typedef struct FileWriter FileWriter;
Status file_writer_open(const char *path, FileWriter **out);
Status file_writer_put(FileWriter *writer, const void *data, size_t size);
// Syncs and renames; frees the writer in every case.
Status file_writer_commit(FileWriter *writer);
// Removes the temporary file and frees the writer. NULL is allowed.
void file_writer_abort(FileWriter *writer);

bool file_exists(const char *path);
bool file_is_directory(const char *path);
// Makes the directory and those above it that are missing.
Status file_make_directory(const char *path);

#endif
