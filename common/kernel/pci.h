/* SPDX-License-Identifier: MIT */
/* pci.h - the GPUs of this host, as sysfs lists them. HL_SYS_ROOT in the environment names another tree than /sys.
 *
 * Shape    a card's address is "0000:03:00.0", in lower case. Its number is its place among the cards of its maker in
 *          the order of their addresses, as nvidia-smi counts too.
 * Errors   none: what is not there is not known.
 * Source   https://docs.kernel.org/driver-api/pm/devices.html (runtime_status), amdgpu's gpu_metrics.
 * Tests    tests/unit/kernel/test_pci.c, tests/doors/test_measure.py
 */
#ifndef HL_KERNEL_PCI_H
#define HL_KERNEL_PCI_H

#include <stdbool.h>

#define HL_PCI_ADDRESS_SIZE 13 /* with the NUL */

bool hl_pci_is_address(const char *text);

/* -1: no GPU has this address. */
int hl_pci_gpu_number(const char *address);

/* Whether a card of NVIDIA's is switched off, so that asking about it, or about another, would wake it. */
bool hl_pci_nvidia_sleeps(void);

/* Whether a card of AMD's is part of a processor, whose memory is the host's. This wakes a card that sleeps: ask only
 * about one that somebody uses. */
bool hl_pci_amd_is_apu(const char *address);

#endif
