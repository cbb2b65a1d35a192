// File: whole files in, whole files out, never half of one.
#include "runtime/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Status file_read(const char *path, Text *out) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return status_make(EXIT_DATA, "cannot open '%s': %s", path, strerror(errno));
  char buffer[1 << 16];
  ssize_t n;
  while ((n = read(fd, buffer, sizeof buffer)) > 0) text_write(out, buffer, (size_t)n);
  int error = errno;
  close(fd);
  if (n < 0) return status_make(EXIT_DATA, "cannot read '%s': %s", path, strerror(error));
  return STATUS_OK;
}

struct FileWriter {
  int fd;
  char *path, *temporary; // temporary is NULL for what must not be replaced: devices, pipes
};

static void writer_free(FileWriter *writer) {
  if (writer->fd >= 0) close(writer->fd);
  free(writer->path);
  free(writer->temporary);
  free(writer);
}

Status file_writer_open(const char *path, FileWriter **out) {
  FileWriter *writer = calloc(1, sizeof *writer);
  if (!writer) BUG("out of memory");
  writer->path = strdup(path);
  struct stat info;
  bool is_special = !stat(path, &info) && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
  if (!writer->path || (!is_special && asprintf(&writer->temporary, "%s.%ld.tmp", path, (long)getpid()) < 0))
    BUG("out of memory");
  writer->fd = is_special ? open(path, O_WRONLY | O_CLOEXEC)
                          : open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (writer->fd < 0) {
    Status status = status_make(EXIT_DATA, "cannot write '%s': %s", path, strerror(errno));
    writer_free(writer);
    return status;
  }
  *out = writer;
  return STATUS_OK;
}

Status file_writer_put(FileWriter *writer, const void *data, size_t size) {
  const char *at = data;
  while (size) {
    ssize_t n = write(writer->fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return status_make(EXIT_DATA, "cannot write '%s': %s", writer->path, strerror(n ? errno : ENOSPC));
    at += n;
    size -= (size_t)n;
  }
  return STATUS_OK;
}

Status file_writer_commit(FileWriter *writer) {
  int failed = writer->temporary ? fsync(writer->fd) : 0; // a pipe cannot be synced
  if (close(writer->fd)) failed = -1;
  writer->fd = -1;
  if (!failed && writer->temporary) failed = rename(writer->temporary, writer->path);
  Status status = STATUS_OK;
  if (failed) {
    status = status_make(EXIT_DATA, "cannot write '%s': %s", writer->path, strerror(errno));
    if (writer->temporary) unlink(writer->temporary);
  }
  writer_free(writer);
  return status;
}

void file_writer_abort(FileWriter *writer) {
  if (!writer) return;
  if (writer->temporary) unlink(writer->temporary);
  writer_free(writer);
}

Status file_write(const char *path, const void *data, size_t size) {
  FileWriter *writer;
  TRY(file_writer_open(path, &writer));
  Status status = file_writer_put(writer, data, size);
  if (status) {
    file_writer_abort(writer);
    return status;
  }
  return file_writer_commit(writer);
}

bool file_exists(const char *path) {
  struct stat info;
  return !stat(path, &info);
}

bool file_is_directory(const char *path) {
  struct stat info;
  return !stat(path, &info) && S_ISDIR(info.st_mode);
}

Status file_make_directory(const char *path) {
  char *partial = strdup(path);
  if (!partial) BUG("out of memory");
  Status status = STATUS_OK;
  for (char *slash = partial + 1;; slash++) {
    char end = *slash;
    if (end && end != '/') continue;
    *slash = 0;
    if (mkdir(partial, 0777) && errno != EEXIST)
      status = status_make(EXIT_DATA, "cannot make the directory '%s': %s", partial, strerror(errno));
    *slash = end;
    if (!end || status) break;
  }
  if (!status && !file_is_directory(path)) status = status_make(EXIT_DATA, "'%s' is not a directory", path);
  free(partial);
  return status;
}
