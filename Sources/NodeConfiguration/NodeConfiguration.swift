import DICOMCore
import Yams
