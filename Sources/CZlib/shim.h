// zlib's own header, under a name that Swift can import.
#pragma once
#include <zlib.h>
