/// The C face of DCMTK. No exception leaves it; what can fail fills a cdcmtk_error and returns 0 or NULL.
#pragma once
#include "CDCMTKCodecs.h"
#include "CDCMTKDataSet.h"
#include "CDCMTKNetwork.h"
