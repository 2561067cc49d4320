import CGDCM
import DICOMCore
import ImagingGeometry
