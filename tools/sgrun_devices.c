// sgrun_devices: from --devices and the environment to devices that add up together.
#include "tools/sgrun_devices.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/parallel.h"
#include "runtime/cuda_device.h"
#include "runtime/cuda_nccl.h"
#include "runtime/world/transport.h"
#include "tools/common_device.h"

// ---- other processes ------------------------------------------------------------------------------------------------

static int environment_number(const char *name, int fallback) {
  const char *text = getenv(name);
  return text && *text ? atoi(text) : fallback;
}

// Number of this process among those of its machine.
static int local_rank(void) {
  static const char *const names[] = {"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (getenv(names[i])) return environment_number(names[i], 0);
  }
  return 0;
}

static int local_size(void) {
  // the last is "4" or "4(x2)": on each of two machines
  static const char *const names[] = {"LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_STEP_TASKS_PER_NODE"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (getenv(names[i])) return environment_number(names[i], 1);
  }
  return 1;
}

// What other launchers say in the environment, as far as it must be a number and must be whole.
static ExitCode check_environment(const Cli *cli) {
  static const struct {
    const char *name;
    long least, most;
  } numbers[] = {{"RANK", 0, 1 << 20}, {"WORLD_SIZE", 1, 1 << 20}, {"MASTER_PORT", 1, 65535}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    const char *text = getenv(numbers[i].name);
    if (!text || !*text) continue;
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < numbers[i].least || value > numbers[i].most)
      return cli_fail(cli, EXIT_USAGE, "the environment's %s is '%s', not a number from %ld to %ld", numbers[i].name,
                      text, numbers[i].least, numbers[i].most);
  }
  bool is_one_of_many = getenv("RANK") && environment_number("WORLD_SIZE", 1) > 1;
  if (is_one_of_many && !(getenv("MASTER_ADDR") && getenv("MASTER_PORT")) && !transport_mpi_is_launched())
    return cli_fail(cli, EXIT_USAGE,
                    "the environment says RANK and WORLD_SIZE, but not where the processes meet: set MASTER_ADDR and "
                    "MASTER_PORT too, or unset these");
  return EXIT_DONE;
}

static ExitCode join_world(const Cli *cli, Devices *devices) {
  ExitCode unclear = check_environment(cli);
  if (unclear) return unclear;
  WorldOptions options = {.devices = devices->n,
                          .timeout = cli_number(cli, "timeout", WORLD_TIMEOUT, 0.5, 86400),
                          .meet = getenv("MASTER_ADDR"),
                          .port = environment_number("MASTER_PORT", 0),
                          .rank = environment_number("RANK", 0),
                          .size = environment_number("WORLD_SIZE", 1),
                          .listener = environment_number("SGRUN_LISTENER", -1),
                          .job = getenv("SGRUN_JOB")};
  if (getenv("RANK") && options.meet && options.port && options.size > 1) options.via = WORLD_TCP;
  else if (transport_mpi_is_launched()) options.via = WORLD_MPI;
  if (options.via == WORLD_TCP && (options.rank < 0 || options.rank >= options.size))
    return cli_fail(cli, EXIT_USAGE, "RANK %d of WORLD_SIZE %d is not possible", options.rank, options.size);
  if (options.rank != 0) options.listener = -1;
  if (options.via == WORLD_ALONE && devices->n == 1) return EXIT_DONE;
  ExitCode code = cli_status(cli, world_open(&options, &devices->world));
  if (code || world_processes(devices->world) < 2) return code;
  char who[32];
  snprintf(who, sizeof who, "rank %d", world_rank(devices->world));
  cli_speak_as(who, world_rank(devices->world) != 0);
  return EXIT_DONE;
}

// ---- devices --------------------------------------------------------------------------------------------------------

int devices_threads(const Cli *cli, int n) {
  int given = (int)cli_integer(cli, "threads", 0, 0, 1024), cores = given ? given : parallel_cores();
  if (!given && cores >= sysconf(_SC_NPROCESSORS_ONLN)) cores /= local_size(); // not bound to cores of its own
  if (n == 1 && local_size() == 1) return given;
  return cores / n > 1 ? cores / n : 1;
}

// What this process takes of the GPUs that are named, where others of its machine take theirs: one where no numbers are
// given, else its share of the numbers. Processes that see GPUs of their own alone take what is named.
static ExitCode share_gpus(const Cli *cli, DeviceNames *names) {
  int count = 0, size = local_size();
  bool sees_others = getenv("SGRUN_ALIKE") || !getenv("CUDA_VISIBLE_DEVICES");
  if (!names->is_cuda || size < 2) return EXIT_DONE;
  if (!names->has_numbers) {
    ExitCode code = cli_status(cli, cuda_gpu_count(&count));
    if (!code) names->number[0] = local_rank() % count;
    return code;
  }
  if (!sees_others) return EXIT_DONE;
  Share share = share_of(names->n, size, local_rank());
  if (share.n == 0)
    return cli_fail(cli, EXIT_USAGE, "%d processes of this machine cannot share out %d GPU%s", size, names->n,
                    names->n > 1 ? "s" : "");
  memmove(names->number, names->number + share.first, sizeof *names->number * (size_t)share.n);
  names->n = (int)share.n;
  return EXIT_DONE;
}

typedef struct Joining {
  Device *device;
  const NcclId *ids; // [LANE_COUNT]
  int size, rank;
  double timeout;
  Collective **out;
  Status status;
} Joining;

static void *join_gpu(void *argument) {
  Joining *joining = argument;
  joining->status =
      cuda_nccl_join(joining->device, joining->ids, joining->size, joining->rank, joining->timeout, joining->out);
  return NULL;
}

// Every GPU of this process waits for all others, so each has a thread.
static Status join_gpus(Devices *devices, double timeout) {
  if (world_processes(devices->world) == 1)
    return cuda_nccl_open(devices->device, devices->n, timeout, devices->joined);
  NcclId ids[LANE_COUNT];
  memset(ids, 0, sizeof ids);
  Status status = devices_is_first(devices) ? cuda_nccl_ids(ids) : STATUS_OK;
  if (!status) status = world_broadcast(devices->world, ids, sizeof ids);
  Joining joining[DEVICES_MAX];
  pthread_t thread[DEVICES_MAX];
  int n = 0;
  for (; n < devices->n && !status; n++) {
    joining[n] =
        (Joining){devices->device[n],  ids,      world_size(devices->world), world_first(devices->world) + n, timeout,
                  &devices->joined[n], STATUS_OK};
    if (pthread_create(&thread[n], NULL, join_gpu, &joining[n])) {
      status = status_make(EXIT_DEVICE, "no thread for a GPU");
      break;
    }
  }
  for (int i = 0; i < n; i++) {
    pthread_join(thread[i], NULL);
    if (!status) status = joining[i].status;
    else status_free(joining[i].status);
  }
  return status;
}

static ExitCode join_devices(const Cli *cli, Devices *devices, const DeviceNames *names) {
  if (!devices->world) return EXIT_DONE;
  if (names->is_cuda) {
    devices->joined = calloc((size_t)devices->n, sizeof(Collective *));
    devices->guarded = calloc((size_t)devices->n, sizeof(Collective *));
    if (!devices->joined || !devices->guarded) BUG("out of memory");
    double timeout = 10 * cli_number(cli, "timeout", WORLD_TIMEOUT, 0.5, 86400);
    ExitCode code = cli_status(cli, join_gpus(devices, timeout));
    if (code) return code;
    for (int i = 0; i < devices->n; i++) devices->guarded[i] = world_guard(devices->world, devices->joined[i]);
  }
  for (int i = 0; i < devices->n; i++)
    devices->device[i]->collective = names->is_cuda ? devices->guarded[i] : world_collective(devices->world, i);
  return EXIT_DONE;
}

ExitCode devices_open(const Cli *cli, Devices *out) {
  DeviceNames names;
  *out = (Devices){0};
  ExitCode code = device_names(cli, &names);
  if (!code) code = share_gpus(cli, &names);
  if (code) return code;
  out->n = names.n;
  out->device = calloc((size_t)names.n, sizeof(Device *));
  if (!out->device) BUG("out of memory");
  code = join_world(cli, out);
  int threads = devices_threads(cli, out->n);
  for (int i = 0; i < names.n && !code; i++) code = device_open_named(cli, &names, i, threads, &out->device[i]);
  if (!code) code = join_devices(cli, out, &names);
  if (!code) code = cli_status(cli, team_open(out->world, out->n, &out->team));
  return code;
}

bool devices_is_first(const Devices *devices) { return world_rank(devices->world) == 0; }

bool devices_is_leader(void) { return local_rank() == 0; }

void devices_close(Devices *devices, ExitCode code) {
  // those that end all alike need not be told
  bool is_own = code && code != EXIT_PEER && code != EXIT_INTERRUPTED && code != EXIT_DIVERGED;
  char why[64];
  snprintf(why, sizeof why, "it ended with exit status %d", (int)code);
  if (is_own) world_fail(devices->world, why);
  team_close(devices->team);
  for (int i = 0; devices->joined && i < devices->n; i++) {
    free(devices->guarded[i]);
    cuda_nccl_close(devices->joined[i]);
  }
  world_close(devices->world);
  for (int i = 0; devices->device && i < devices->n; i++) device_close(devices->device[i]);
  free(devices->joined);
  free(devices->guarded);
  free(devices->device);
  *devices = (Devices){0};
}
