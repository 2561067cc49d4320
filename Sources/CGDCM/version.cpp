#include "CGDCM.h"
#include <gdcm-3.0/gdcmVersion.h>
extern "C" const char *cgdcm_version(void) { return gdcm::Version::GetVersion(); }
