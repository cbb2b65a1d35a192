// Clock: seconds for measuring how long things take.
#ifndef SG_BASE_CLOCK_H
#define SG_BASE_CLOCK_H

// Seconds since some fixed moment; never goes backwards.
double clock_seconds(void);

#endif
