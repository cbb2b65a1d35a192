// Kernel cache: C text of kernels -> a loaded shared object, through the host's compiler, kept on disk by content.
//
// Each kernel is known by a hash of its text (but for lines of comment), of what stands before the first one, the
// flags, the compiler's version and the CPU, so that programs share the kernels that they have in common and an edit
// compiles only what it changed. What is compiled together is kept in one file, a bundle, written beside and renamed,
// so that several processes may build at once; each carries a hash of itself: a damaged one is removed and its kernels
// are rebuilt.
#ifndef SG_KERNEL_CACHE_H
#define SG_KERNEL_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/hash.h"
#include "runtime/base/status.h"
#include "runtime/base/text.h"
#include "runtime/kernel_abi.h"

// The host's C compiler as a command of one or more words: $CC if it is set, else the first of cc, gcc and clang that
// PATH has. NULL if there is none; else the caller frees it with free().
char *kernel_cache_compiler(void);
// Likewise for code of that machine, as `uname -m` says it (NULL is this one): of another machine $CC must make it, or
// it is the cross compiler of the usual name, such as aarch64-linux-gnu-gcc.
char *kernel_cache_compiler_for(const char *machine);

// Where compiled kernels are kept: $SGC_CACHE, else $XDG_CACHE_HOME/sgc, else ~/.cache/sgc. False if none is set.
bool kernel_cache_directory(Text *out);
// What the speed of kernels depends on besides their text: what stands before the first of them in a source, the flags,
// the compiler's version and the CPU. False if there is no compiler.
bool kernel_cache_context(const char *preamble, const char *flags, Hash *out);
// Number of kept files and their bytes; zeros if there is no such place.
void kernel_cache_usage(int *out_files, int64_t *out_bytes);
// Removes what the cache keeps, and nothing else in its directory. By itself the cache keeps at most a gigabyte: beyond
// that the kernels not used for longest go when new ones come.
Status kernel_cache_clear(void);

// Told of what the user should know once though nothing failed, such as a cache that cannot be written.
typedef void KernelNotice(void *context, const char *text);

typedef struct KernelModule KernelModule;

// Loads the kernels that stand in `source`, each behind a PROGRAM_KERNEL_MARK with its symbol, compiling (in parallel)
// those that are not cached.
// EXIT_DEVICE if there is no compiler or it fails; the message then has the first lines of its log and the place where
// the source was kept. `notice` may be NULL.
Status kernel_module_load(const char *source, const char *flags, KernelNotice *notice, void *context,
                          KernelModule **out);
void kernel_module_close(KernelModule *module); // NULL is allowed
// The kernel of that name, or NULL.
SgKernel *kernel_module_find(const KernelModule *module, const char *symbol);
bool kernel_module_was_cached(const KernelModule *module); // all of them

#endif
