/* openapi.yaml, as it was when this was compiled. */
#pragma once

#include "core/crypto.h"

/* The file's bytes; they live for ever. */
struct slice contract_text(void);
