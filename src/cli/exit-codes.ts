// The exit codes that users and service managers rely on (sysexits.h).
export const EXIT_OK = 0;
/** doctor: fit, with warnings. */
export const EXIT_WARNINGS = 1;
export const EXIT_USAGE = 64;
/** The kernel lacks something, or no collector runs. */
export const EXIT_UNAVAILABLE = 69;
export const EXIT_BUG = 70;
export const EXIT_NOT_PERMITTED = 77;
export const EXIT_CONFIG = 78;
