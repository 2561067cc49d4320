import CDCMTK
import DICOMCore
