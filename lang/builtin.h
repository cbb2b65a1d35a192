// builtin: the functions over static values: len, ceil, shape, ...
#ifndef SG_LANG_BUILTIN_H
#define SG_LANG_BUILTIN_H

// The input of a graph with random numbers that says which; filled before each step (random_step_key).
#define RANDOM_KEY "random_key"

int builtin_count(void);
int builtin_by_name(const char *name); // -1 if there is none
const char *builtin_name(int builtin);
int builtin_n_params(int builtin);
const char *builtin_param(int builtin, int i);
const char *builtin_doc(int builtin);

#endif
