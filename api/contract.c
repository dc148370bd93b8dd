/* Owns the copy of openapi.yaml inside the program. The path is relative to the folder the compiler runs in, the project's root; make has to know that this
 * object depends on that file. */
#include "api/contract.h"

__asm__(".section .rodata\n"
        ".globl contract_begin\n"
        ".globl contract_end\n"
        "contract_begin:\n"
        ".incbin \"openapi.yaml\"\n"
        "contract_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char contract_begin[], contract_end[];

struct slice contract_text(void) {
    return (struct slice){ contract_begin, (size_t)(contract_end - contract_begin) };
}
