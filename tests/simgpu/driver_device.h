#ifndef SIM_DRIVER_DEVICE_H
#define SIM_DRIVER_DEVICE_H

#include <cuda.h>

// An attribute of a device; 0 if it has nothing to say to it.
int device_attribute(CUdevice_attribute attribute, int device);

#endif
