// common_tuning: where measured schedules are kept, and whether a command uses them.
#ifndef SG_TOOLS_COMMON_TUNING_H
#define SG_TOOLS_COMMON_TUNING_H

#include "compiler/kernel/tuning.h"
#include "tools/cli.h"

// The file of all results: tuned.txt in the kernel cache's directory. False if there is no such directory.
bool tuning_path(Text *out);

// The word that stands for what results of the target hold for: its name, the threads (--threads, or all that the
// process may use), and a hash of the generator's micro-kernels, the C compiler and the CPU.
void tuning_context(const Cli *cli, const Target *target, Text *out);

// What --tuned asks for: replaces the target by one with the results of this machine, in `arena`; says what of the file
// is of no use. EXIT_USAGE beside --exact.
ExitCode tuning_load(const Cli *cli, Arena *arena, const Target **target);

// Says so in a line if a model was compiled for a target with results, and none of them was for one of its kernels.
void tuning_say(const Cli *cli, const Target *target, const char *model);

// Reads the file again, so that nothing is lost that others wrote meanwhile, puts `found` over it (results with values
// "" remove what there was), and writes it, all of it or nothing; who does so at the same time waits.
ExitCode tuning_save(const Cli *cli, const Target *target, const TuningResult *found, int n);

#endif
