// sgrun_ranks: starts, watches, ends and restarts processes.
//
// Started alone, or on each of several machines, it makes --ranks processes. Under mpirun each of mpirun's processes
// makes one: MPI does not survive the death of a process, so those that may die are not MPI's, and meet over TCP.
#include "tools/sgrun_ranks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/world/socket.h"
#include "runtime/world/transport.h"
#include "runtime/world/world.h"
#include "tools/common_interrupt.h"

enum { MAX_RANKS = 256, GRACE = 10, POLL_US = 20000 };

typedef struct Ranks {
  const Cli *cli;
  int n, first, size; // processes of this one, the rank of the first, and of all
  bool is_mpi;
  int listener, port;
  char address[1024];
  char job[64];
  char **arguments; // of this command
  int n_arguments;
  pid_t child[MAX_RANKS];
  bool is_restart;
} Ranks;

bool ranks_are_wanted(const Cli *cli) {
  if (getenv("SGRUN_CHILD")) return false;
  return cli_option(cli, "ranks") || (cli_option(cli, "max-restarts") && transport_mpi_is_launched()) ||
         cli_option(cli, "machines") || cli_option(cli, "machine") || cli_option(cli, "meet");
}

// ---- who and where --------------------------------------------------------------------------------------------------

static ExitCode parse_meet(const Cli *cli, Ranks *ranks, int machine) {
  const char *meet = cli_option(cli, "meet"), *colon = meet ? strrchr(meet, ':') : NULL;
  char *end = NULL;
  long number = colon ? strtol(colon + 1, &end, 10) : 0;
  if (!colon || colon == meet || *end || number < 1 || number > 65535 ||
      (size_t)(colon - meet) >= sizeof ranks->address)
    return cli_fail(cli, EXIT_USAGE, "several machines need --meet HOST:PORT, where machine 0 is reached");
  snprintf(ranks->address, sizeof ranks->address, "%.*s", (int)(colon - meet), meet);
  ranks->port = (int)number;
  int port;
  return machine ? EXIT_DONE : cli_status(cli, socket_listen(NULL, ranks->port, &ranks->listener, &port));
}

static ExitCode find_place(const Cli *cli, Ranks *ranks) {
  if (!cli_option(cli, "machines") && (cli_option(cli, "machine") || cli_option(cli, "meet")))
    return cli_fail(cli, EXIT_USAGE, "--machine and --meet are for several machines: say how many with --machines");
  int machines = (int)cli_integer(cli, "machines", 1, 1, 4096),
      machine = (int)cli_integer(cli, "machine", 0, 0, machines - 1);
  ranks->n = (int)cli_integer(cli, "ranks", 1, 1, MAX_RANKS);
  ranks->first = machine * ranks->n;
  ranks->size = machines * ranks->n;
  if (machines > 1) {
    snprintf(ranks->job, sizeof ranks->job, "%s", cli_option(cli, "meet") ? cli_option(cli, "meet") : "");
    return parse_meet(cli, ranks, machine);
  }
  snprintf(ranks->address, sizeof ranks->address, "127.0.0.1");
  snprintf(ranks->job, sizeof ranks->job, "%d %.9f", (int)getpid(), clock_seconds());
  return cli_status(cli, socket_listen("127.0.0.1", 0, &ranks->listener, &ranks->port));
}

// mpirun's processes agree on where rank 0 will be met.
static ExitCode find_place_by_mpi(const Cli *cli, Ranks *ranks) {
  struct {
    char address[1024], job[64];
    int port;
  } meeting = {0};
  if (cli_option(cli, "ranks") || cli_option(cli, "machines") || cli_option(cli, "machine") || cli_option(cli, "meet"))
    return cli_fail(cli, EXIT_USAGE,
                    "mpirun says how many processes there are: leave --ranks, --machines, --machine and --meet out");
  ranks->n = 1;
  Status status = transport_mpi_begin(&ranks->first, &ranks->size);
  ranks->is_mpi = !status;
  if (!status && ranks->first == 0) status = socket_listen(NULL, 0, &ranks->listener, &meeting.port);
  if (!status && ranks->first == 0) {
    socket_own_addresses(meeting.address, sizeof meeting.address - 16);
    strcat(meeting.address, "127.0.0.1\n");
    snprintf(meeting.job, sizeof meeting.job, "%d %.9f", (int)getpid(), clock_seconds());
  }
  if (!status) status = transport_mpi_broadcast(&meeting, sizeof meeting);
  memcpy(ranks->address, meeting.address, sizeof ranks->address);
  memcpy(ranks->job, meeting.job, sizeof ranks->job);
  ranks->port = meeting.port;
  return cli_status(cli, status);
}

// The words of this command, without --force, which would drop at a restart what was reached.
static void read_arguments(Ranks *ranks) {
  Text text = {0};
  Status status = file_read("/proc/self/cmdline", &text);
  if (status) BUG("%s", status_message(status));
  char *words = malloc(text.size + 1);
  ranks->arguments = calloc(text.size + 2, sizeof *ranks->arguments);
  if (!words || !ranks->arguments) BUG("out of memory");
  memcpy(words, text_get(&text), text.size + 1);
  for (size_t at = 0; at < text.size; at += strlen(words + at) + 1) ranks->arguments[ranks->n_arguments++] = words + at;
  text_free(&text);
}

// ---- processes ------------------------------------------------------------------------------------------------------

static void set_number(const char *name, int number) {
  char text[16];
  snprintf(text, sizeof text, "%d", number);
  setenv(name, text, 1);
}

static _Noreturn void become_rank(const Ranks *ranks, int i, bool is_resume, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(EXIT_PEER);
  setpgid(0, 0); // Ctrl-C of the terminal comes through the parent, once
  signal(SIGTTOU, SIG_IGN);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  setenv("SGRUN_CHILD", "1", 1);
  set_number("RANK", ranks->first + i);
  set_number("WORLD_SIZE", ranks->size);
  unsetenv("SGRUN_ALIKE");
  if (!ranks->is_mpi) {
    setenv("SGRUN_ALIKE", "1", 1); // one environment, so all see the same GPUs
    set_number("LOCAL_RANK", i);
    set_number("LOCAL_WORLD_SIZE", ranks->n);
  }
  setenv("MASTER_ADDR", ranks->address, 1);
  set_number("MASTER_PORT", ranks->port);
  setenv("SGRUN_JOB", ranks->job, 1);
  unsetenv("SGRUN_LISTENER");
  if (ranks->first + i == 0) {
    fcntl(ranks->listener, F_SETFD, 0);
    set_number("SGRUN_LISTENER", ranks->listener);
  }
  char **arguments = calloc((size_t)ranks->n_arguments + 2, sizeof *arguments);
  if (!arguments) _exit(EXIT_BUG);
  static char resume[] = "--resume";
  int n = 0;
  for (int k = 0; k < ranks->n_arguments; k++) {
    bool is_dropped = ranks->is_restart && !strcmp(ranks->arguments[k], "--force");
    if (!is_dropped) arguments[n++] = ranks->arguments[k];
    if (k == 1 && is_resume) arguments[n++] = resume;
  }
  int nothing = open("/dev/null", O_RDONLY);
  if (nothing >= 0) dup2(nothing, 0);
  execv("/proc/self/exe", arguments);
  _exit(EXIT_BUG);
}

static ExitCode start_all(Ranks *ranks, bool is_resume) {
  pid_t parent = getpid();
  fflush(NULL);
  for (int i = 0; i < ranks->n; i++) {
    ranks->child[i] = fork();
    if (ranks->child[i] == 0) become_rank(ranks, i, is_resume, parent);
    if (ranks->child[i] < 0) {
      for (int k = 0; k < i; k++) kill(ranks->child[k], SIGKILL);
      return cli_fail(ranks->cli, EXIT_DEVICE, "no process could be made: %s", strerror(errno));
    }
  }
  return EXIT_DONE;
}

static int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status); }

// How a round ended: the first exit status that says more than that a peer failed.
typedef struct Round {
  ExitCode code;
  bool may_restart;
} Round;

static void note_end(Ranks *ranks, int i, int code, bool is_told, Round *round) {
  int rank = ranks->first + i;
  if (code < 0 && is_told) code = EXIT_INTERRUPTED; // asked to stop before it had anything to save
  if (code < 0) cli_say(ranks->cli, "rank %d (process %d) was ended by signal %d", rank, ranks->child[i], -code);
  bool is_peer = code < 0 || code == EXIT_PEER || code == EXIT_BUG;
  if (!code) return;
  if (!round->code) *round = (Round){code < 0 ? EXIT_PEER : (ExitCode)code, is_peer};
  else if (!is_peer && round->may_restart) *round = (Round){(ExitCode)code, false};
}

// Waits for all. When one has failed, the others have some seconds to find out and to say so.
static Round wait_all(Ranks *ranks, const volatile sig_atomic_t *stop) {
  Round round = {0};
  bool is_told = false, is_killed = false;
  double failed_at = 0, timeout = cli_number(ranks->cli, "timeout", WORLD_TIMEOUT, 0.5, 86400);
  for (int left = ranks->n; left;) {
    left = 0;
    for (int i = 0; i < ranks->n; i++) {
      int status;
      if (ranks->child[i] <= 0) continue;
      if (waitpid(ranks->child[i], &status, WNOHANG) != ranks->child[i]) {
        left++;
        continue;
      }
      if (!is_killed || code_of(status) >= 0) note_end(ranks, i, code_of(status), is_told, &round);
      ranks->child[i] = 0;
      if (round.code && !failed_at) failed_at = clock_seconds();
    }
    if (*stop && !is_told) {
      for (int i = 0; i < ranks->n; i++)
        if (ranks->child[i] > 0) kill(ranks->child[i], SIGINT);
      is_told = true;
    }
    bool is_late = failed_at > 0 && clock_seconds() - failed_at > timeout + GRACE;
    for (int i = 0; i < ranks->n && is_late; i++)
      if (ranks->child[i] > 0) kill(ranks->child[i], SIGKILL); // stopped, or hanging
    is_killed |= is_late;
    if (left) usleep(POLL_US);
  }
  if (is_told) round.may_restart = false;
  return round;
}

ExitCode ranks_run(const Cli *cli, const char *checkpoint) {
  Ranks ranks = {.cli = cli, .listener = -1};
  int restarts = (int)cli_integer(cli, "max-restarts", 0, 0, 1000000);
  ExitCode code = transport_mpi_is_launched() ? find_place_by_mpi(cli, &ranks) : find_place(cli, &ranks);
  if (code) return code;
  const volatile sig_atomic_t *stop = interrupt_catch();
  read_arguments(&ranks);
  bool is_resume = cli_flag(cli, "resume", false);
  Round round = {0};
  for (int attempt = 0;; attempt++) {
    ranks.is_restart = attempt > 0;
    code = start_all(&ranks, attempt > 0 && !is_resume && file_exists(checkpoint));
    if (code) break;
    round = wait_all(&ranks, stop);
    code = round.code;
    if (!code || !round.may_restart || attempt == restarts) break;
    cli_say(cli, "restart %d of %d: %s", attempt + 1, restarts,
            file_exists(checkpoint) ? "from the last checkpoint" : "from the start");
  }
  if (ranks.is_mpi && !code) transport_mpi_end();
  socket_close(ranks.listener);
  if (ranks.arguments) free(ranks.arguments[0]);
  free(ranks.arguments);
  return code;
}
