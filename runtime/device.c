// Device: what all kinds share.
#include "runtime/device.h"

void device_close(Device *device) {
  if (device) device->table->close(device);
}
